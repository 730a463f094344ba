//! Our client against the registries of others.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use fs_err as fs;
use serde_json::Value;

use super::token::TokenService;
use crate::peers::{Peers, run_quietly};
use crate::registries::{Registry, Shop, distribution_config};
use crate::report::Report;

const SIZE: usize = 9_000_000;
const ZOT: (&str, &str) = ("zotregistry.dev/zot/v2/cmd/zot", "v2.1.11");

/// How a registry is spoken to.
struct Way<'a> {
    peer: &'a str,
    registry: &'a Registry,
    /// Flags of every command.
    flags: &'a str,
    logs_in: bool,
}

pub(super) fn run(
    report: &mut Report,
    peers: &Peers,
    kit: &Path,
    dir: &Path,
) -> anyhow::Result<()> {
    let debian = peers.debian("docker-registry", "docker-registry")?;
    let version = run_quietly(std::process::Command::new(&debian).arg("--version"))?;
    let version =
        version.split_whitespace().last().unwrap_or("?").trim_start_matches('v').to_owned();
    let basic = format!("docker-registry {version}, htpasswd over TLS");
    with_users(report, &basic, peers, &debian, Shop::open(dir.join("basic"), kit.to_owned())?)?;
    let tokens = format!("docker-registry {version}, token service");
    with_tokens(report, &tokens, &debian, Shop::open(dir.join("tokens"), kit.to_owned())?)?;
    match peers.go("github.com/distribution/distribution/v3/cmd/registry", "v3.1.2", "registry") {
        Ok(program) => {
            let shop = Shop::open(dir.join("distribution"), kit.to_owned())?;
            let registry =
                Registry::distribution(&program, &shop.dir.join("registry"), distribution_config)?;
            show(
                report,
                &shop,
                &Way { peer: "distribution 3.1.2", registry: &registry, flags: "", logs_in: false },
            );
        }
        Err(error) => report.skip("distribution v3", "push and pull", &first_line(&error)),
    }
    match peers.go(ZOT.0, ZOT.1, "zot") {
        Ok(program) => {
            let shop = Shop::open(dir.join("zot"), kit.to_owned())?;
            let registry =
                Registry::distribution(&program, &shop.dir.join("registry"), zot_config)?;
            show(
                report,
                &shop,
                &Way { peer: "zot", registry: &registry, flags: "", logs_in: false },
            );
        }
        Err(error) => report.skip("zot", "push and pull", &first_line(&error)),
    }
    Ok(())
}

fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines()
        .find(|line| line.contains("403") || line.contains("not available"))
        .unwrap_or(&text)
        .trim()
        .to_owned()
}

fn zot_config(address: &str, dir: &Path) -> String {
    let (host, port) = address.split_once(':').unwrap_or((address, "5000"));
    format!(
        r#"{{"storage":{{"rootDirectory":"{}/data"}},"http":{{"address":"{host}","port":"{port}"}},"log":{{"level":"error"}}}}"#,
        dir.display()
    )
}

fn with_users(
    report: &mut Report,
    peer: &str,
    peers: &Peers,
    program: &Path,
    shop: Shop,
) -> anyhow::Result<()> {
    shop.make_certificates()?;
    let htpasswd = peers.debian("apache2-utils", "htpasswd")?;
    let users = shop.run(&htpasswd, "-Bbn user secret")?;
    fs::write(shop.dir.join("users"), users)?;
    let (dir, files) = (shop.dir.join("registry"), shop.dir.clone());
    let registry = Registry::distribution(program, &dir, |address, dir| {
        format!(
            "{}  tls: {{certificate: {1}/server.pem, key: {1}/server.key}}\nauth: {{htpasswd: {{realm: r, path: {1}/users}}}}\n",
            distribution_config(address, dir),
            files.display()
        )
    })?;
    let way = Way { peer, registry: &registry, flags: "--tls-cert ca.pem", logs_in: true };
    report.claim(peer, "a certificate of an unknown root is refused", || {
        let line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout x.key -days 9 -subj /CN=x -out stranger.pem";
        shop.run(Path::new("openssl"), line)?;
        let line = format!("login {} -u user --password-stdin --tls-cert stranger.pem", registry.address);
        let refused = shop.kit_with("home", &line, "secret").err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains("certificate"), "it was not refused for its certificate: {refused}");
        Ok(())
    });
    show(report, &shop, &way);
    Ok(())
}

fn with_tokens(report: &mut Report, peer: &str, program: &Path, shop: Shop) -> anyhow::Result<()> {
    let service = TokenService::start(&shop)?;
    let (dir, files) = (shop.dir.join("registry"), shop.dir.clone());
    let realm = service.url.clone();
    let registry = Registry::distribution(program, &dir, |address, dir| {
        format!(
            "{}auth: {{token: {{realm: '{realm}', service: registry, issuer: xtask, rootcertbundle: {}/token.pem}}}}\n",
            distribution_config(address, dir),
            files.display()
        )
    })?;
    show(report, &shop, &Way { peer, registry: &registry, flags: "", logs_in: true });
    report.claim(peer, "an identity token is exchanged", || {
        shop.kit_with(
            "identity",
            &format!("login {} --password-stdin", registry.address),
            "identity",
        )?;
        shop.kit("identity", &format!("pull {}/demo/kit:v1", registry.address)).map(drop)
    });
    report.claim(peer, "tokens were asked for", || {
        ensure!(service.n_tokens() > 2, "only {} tokens", service.n_tokens());
        Ok(())
    });
    Ok(())
}

/// What every registry is shown.
fn show(report: &mut Report, shop: &Shop, way: &Way<'_>) {
    let (peer, address, flags) = (way.peer, &way.registry.address, way.flags);
    let tag = format!("{address}/demo/kit:v1");
    let mut digest = String::new();
    report.claim(peer, "pack for it", || {
        digest = shop.pack("home", address, SIZE)?;
        Ok(())
    });
    if way.logs_in {
        report.claim(peer, "without a credential the push is refused", || {
            ensure!(shop.kit("home", &format!("push {tag} {flags}")).is_err(), "it was taken");
            Ok(())
        });
        report.claim(peer, "a wrong password is refused, the right one kept", || {
            let line = format!("login {address} -u user --password-stdin {flags}");
            ensure!(shop.kit_with("home", &line, "wrong").is_err(), "it was taken");
            for home in ["home", "other"] {
                shop.kit_with(home, &line, "secret")?;
            }
            Ok(())
        });
    }
    let push = |to: &str| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &shop.kit("home", &format!("push {tag} {to} {flags} --format json"))?,
        )?)
    };
    report.claim(peer, "push", || {
        let pushed = push("")?;
        ensure!(pushed["uploaded_blobs"] == 2 && pushed["digest"] == *digest, "{pushed}");
        Ok(())
    });
    report.claim(peer, "a second push sends no blob", || {
        let pushed = push("")?;
        ensure!(pushed["uploaded_blobs"] == 0 && pushed["existing_blobs"] == 2, "{pushed}");
        Ok(())
    });
    report.claim(peer, "another repository mounts the blobs", || {
        let pushed = push(&format!("{address}/demo/mounted:v1"))?;
        ensure!(pushed["mounted_blobs"] == 2, "{pushed}");
        Ok(())
    });
    report.claim(peer, "pull brings the same bytes", || {
        shop.kit("other", &format!("pull {tag} {flags}"))?;
        shop.kit("other", &format!("pull {address}/demo/kit@{digest} {flags}"))?;
        ensure!(shop.check_blobs("other/storage")? == 3, "there are other blobs");
        Ok(())
    });
    report.claim(peer, "remove --remote", || {
        let gone = format!("{address}/demo/mounted@{digest}");
        shop.kit("home", &format!("remove --remote {gone} {flags}"))?;
        ensure!(
            shop.kit("home", &format!("remove --remote {gone} {flags}")).is_err(),
            "it is still there"
        );
        Ok(())
    });
    if way.logs_in {
        report.claim(peer, "logout", || {
            shop.kit("home", &format!("logout {address}"))?;
            ensure!(
                shop.kit("home", &format!("push {tag} {address}/demo/late:v1 {flags}")).is_err(),
                "it was taken"
            );
            Ok(())
        });
    }
}

/// Where a program lies, or why it cannot be had.
pub(super) fn or_skip(
    report: &mut Report,
    peer: &str,
    found: anyhow::Result<PathBuf>,
) -> Option<PathBuf> {
    found.map_err(|error| report.skip(peer, "against our registry", &first_line(&error))).ok()
}
