//! Attacks on `kit-rs registry serve`, each with a good client that goes on asking.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use rustix::net::{AddressFamily, SocketType};
use serde_json::json;

use super::MEMORY;
use crate::peers::{Peers, run_quietly};
use crate::registries::Registry;
use crate::report::Report;

/// A good client is answered within this, whatever goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Users of the registry that is flooded.
const N_USERS: usize = 5;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn run(
    peers: &Peers,
    limited: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut n = 0;
    let mut attack = |claim: &str, flags: &[&str], play: &dyn Fn(&Shop) -> anyhow::Result<()>| {
        n += 1;
        let root = dir.join(format!("registry-{n}"));
        report.claim("attack on the registry", claim, || {
            let registry = Registry::ours(limited, &root, "127.0.0.1:0", flags)?;
            let shop = Shop { address: registry.address.parse()?, agent: agent() };
            play(&shop).context("the attack")?;
            shop.is_well().context("afterwards")?;
            let peak = registry.peak()?;
            ensure!(peak <= MEMORY, "its memory reached {} MiB", peak >> 20);
            Ok(())
        });
    };
    attack(
        "forty manifests of 4 MB refer to one, and twelve clients ask for the list and do not read",
        &[],
        &|shop| {
            let subject = shop.refer()?;
            let question =
                format!("GET /v2/a/referrers/{subject} HTTP/1.1\r\nhost: {}\r\n\r\n", shop.address);
            shop.held(|| (0..12).map(|_| shop.open(&question)).collect())
        },
    );
    attack("400 connections that say nothing", &[], &|shop| {
        shop.held(|| (0..400).map(|_| shop.open("")).collect())
    });
    attack("300 heads that never end", &[], &|shop| {
        shop.held(|| (0..300).map(|_| shop.open("GET /v2/ HTTP/1.1\r\nx: ")).collect())
    });
    attack("200 clients ask for a blob of 32 MB and do not read", &[], &|shop| {
        let digest = shop.blob(&vec![7; 32 << 20])?;
        let question =
            format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: {}\r\n\r\n", shop.address);
        shop.held(|| (0..200).map(|_| shop.open(&question)).collect())
    });
    attack("3,000 uploads are begun and left: the last cost what the first did", &[], &|shop| {
        let start = |n: u32| -> anyhow::Result<Duration> {
            let began = Instant::now();
            for _ in 0..n {
                shop.ask(shop.agent.post(shop.url("/v2/a/blobs/uploads/")).send_empty())?;
            }
            Ok(began.elapsed())
        };
        let first = start(1000)?;
        start(1000)?;
        let last = start(1000)?;
        ensure!(last < first * 3, "the first thousand took {first:?}, the last {last:?}");
        Ok(())
    });
    attack(
        "a page in a browser, by another name or from another site, writes nothing",
        &[],
        &|shop| {
            let uploads = shop.url("/v2/a/blobs/uploads/");
            for (name, value) in [
                ("host", "evil.example"),
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "cross-site"),
            ] {
                let answer = shop.agent.post(&uploads).header(name, value).send_empty();
                let status = shop.ask(answer)?;
                ensure!((400..500).contains(&status), "with {name}: {value} it answers {status}");
            }
            Ok(())
        },
    );
    // As slow as passwords are kept: two hundred checks, one after the other, take far longer than a
    // good client waits.
    let htpasswd = peers.debian("apache2-utils", "htpasswd")?;
    let one = run_quietly(Command::new(htpasswd).args(["-Bbn", "-C", "10", "user", "secret"]))?;
    let hash = one.trim().strip_prefix("user:").context("htpasswd writes a line")?;
    let lines: String = (0..N_USERS).map(|n| format!("user{n}:{hash}\n")).collect();
    let users = dir.join("users");
    fs::write(&users, lines)?;
    let users = users.display().to_string();
    attack(
        "200 wrong passwords that wait for their check keep nobody out",
        &["--htpasswd", &users],
        &|shop| {
            // base64 of "user0:wrong"
            let question = format!(
                "GET /v2/ HTTP/1.1\r\nhost: {}\r\nauthorization: Basic dXNlcjA6d3Jvbmc=\r\n\r\n",
                shop.address
            );
            // Each user comes for the first time, so that each has to be checked.
            for n in 0..N_USERS {
                let flood: Vec<_> =
                    (0..200).map(|_| shop.open(&question)).collect::<Result<_, _>>()?;
                shop.knows(&format!("user{n}"), "secret")?;
                drop(flood);
            }
            Ok(())
        },
    );
    Ok(())
}

/// The attacked registry, and the good client.
struct Shop {
    address: SocketAddr,
    agent: ureq::Agent,
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

type Asked = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

impl Shop {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn ask(&self, answer: Asked) -> anyhow::Result<u16> {
        Ok(answer?.status().as_u16())
    }

    /// What a good client gets, over a connection of its own.
    fn is_well(&self) -> anyhow::Result<()> {
        let status = self.ask(agent().get(self.url("/v2/")).call())?;
        ensure!(matches!(status, 200 | 401), "a good client gets {status}");
        Ok(())
    }

    fn knows(&self, user: &str, password: &str) -> anyhow::Result<()> {
        let url = format!("http://{user}:{password}@{}/v2/", self.address);
        let status = self.ask(agent().get(url).call())?;
        ensure!(status == 200, "a good client gets {status}");
        Ok(())
    }

    /// Holds hostile connections for six seconds, and asks as a good client meanwhile.
    fn held(
        &self,
        open: impl FnOnce() -> anyhow::Result<Vec<Option<TcpStream>>>,
    ) -> anyhow::Result<()> {
        let held = open()?;
        let began = Instant::now();
        let mut n_asked = 0;
        while began.elapsed() < Duration::from_secs(6) {
            self.is_well().with_context(|| format!("question {n_asked}"))?;
            n_asked += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(held);
        Ok(())
    }

    /// A hostile connection, from 127.0.0.2; one that is turned away is none.
    fn open(&self, question: &str) -> anyhow::Result<Option<TcpStream>> {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 0))?;
        if rustix::net::connect(&socket, &self.address).is_err() {
            return Ok(None);
        }
        let mut stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(PATIENCE))?;
        let is_taken = stream.write_all(question.as_bytes()).is_ok();
        Ok(is_taken.then_some(stream))
    }

    fn blob(&self, content: &[u8]) -> anyhow::Result<String> {
        let digest = digest(content)?;
        let url = self.url(&format!("/v2/a/blobs/uploads/?digest={digest}"));
        let agent = ureq::Agent::config_builder().timeout_global(None).build().new_agent();
        agent.post(url).header("content-type", "application/octet-stream").send(content)?;
        Ok(digest)
    }

    /// Puts a manifest and forty that refer to it; returns its digest.
    fn refer(&self) -> anyhow::Result<String> {
        let config = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": self.blob(b"{}")?, "size": 2 });
        let mut manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [] });
        let put = |manifest: &serde_json::Value| -> anyhow::Result<(String, usize)> {
            let bytes = serde_json::to_vec(manifest)?;
            let digest = digest(&bytes)?;
            let url = self.url(&format!("/v2/a/manifests/{digest}"));
            let status =
                self.ask(self.agent.put(url).header("content-type", MANIFEST).send(&bytes))?;
            ensure!(status == 201, "a manifest gets {status}");
            Ok((digest, bytes.len()))
        };
        let (subject, size) = put(&manifest)?;
        manifest["subject"] = json!({ "mediaType": MANIFEST, "digest": subject, "size": size });
        for n in 0..40 {
            manifest["annotations"] = json!({ "n": n.to_string(), "long": "x".repeat(4_000_000) });
            put(&manifest)?;
        }
        Ok(subject)
    }
}

pub(super) fn digest(content: &[u8]) -> anyhow::Result<String> {
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    child.stdin.take().context("stdin is a pipe")?.write_all(content)?;
    let output = child.wait_with_output()?;
    let sum = String::from_utf8(output.stdout)?;
    Ok(format!("sha256:{}", sum.split_whitespace().next().context("sha256sum says a sum")?))
}
