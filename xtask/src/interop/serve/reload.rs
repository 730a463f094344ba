//! A hundred reloads and a hundred ends, under 32 connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use super::Stage;
use crate::peers::run_quietly;
use crate::report::Report;
use crate::serving::load::{Client, request};
use crate::serving::server::Server;
use crate::serving::texts;

const N_CLIENTS: usize = 32;
const N_ROUNDS: usize = 100;

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    report.claim(
        "32 clients",
        "lose nothing over 100 reloads, and no answer mixes two models",
        || reloads(stage),
    );
    report.claim(
        "32 clients",
        "lose nothing over 100 times SIGTERM, and the server exits with 0",
        || terminations(stage),
    );
    report.claim(
        "kit-rs",
        "--watch follows a tag; --canary and --shadow are measured; a bad model is refused",
        || watch(stage),
    );
}

/// Two ModelKits that answer with different labels.
struct Kits {
    home: PathBuf,
    /// The label that each digest answers with.
    labels: BTreeMap<String, &'static str>,
    references: [&'static str; 2],
}

fn kits(stage: &Stage<'_>) -> anyhow::Result<Kits> {
    let home = stage.dir.join("home");
    let mut labels = BTreeMap::new();
    let references = ["demo/kit:one", "demo/kit:two"];
    for (reference, label) in references.into_iter().zip(["one", "two"]) {
        let folder = home.join(label);
        fs::create_dir_all(folder.join("model"))?;
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(stage.tiny().join(name), folder.join("model").join(name))?;
        }
        let path = folder.join("model/config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        config["id2label"] = json!({ "0": label, "1": label });
        fs::write(path, config.to_string())?;
        pack(stage, &home, &folder, reference)?;
        let inspected =
            kit_rs(stage, &home).args(["inspect", reference, "--format", "json"]).output()?;
        let document: Value = serde_json::from_slice(&inspected.stdout)?;
        let digest = document["digest"].as_str().context("inspect tells the digest")?;
        labels.insert(digest.to_owned(), label);
    }
    Ok(Kits { home, labels, references })
}

fn pack(stage: &Stage<'_>, home: &Path, folder: &Path, reference: &str) -> anyhow::Result<()> {
    fs::write(
        folder.join("Kitfile"),
        "manifestVersion: 1.0.0\npackage:\n  name: kit\nmodel:\n  name: kit\n  path: model\n",
    )?;
    run_quietly(kit_rs(stage, home).args(["pack", "-t", reference]).arg(folder)).map(drop)
}

fn kit_rs(stage: &Stage<'_>, home: &Path) -> Command {
    let mut command = Command::new(&stage.kit_rs);
    command.env("KIT_RS_HOME", home);
    command
}

/// A server of a ModelKit, with its admin routes.
fn serve(stage: &Stage<'_>, kits: &Kits, more: &[&str]) -> anyhow::Result<(Server, SocketAddr)> {
    let admin = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = kit_rs(stage, &kits.home);
    command
        .args(["serve", kits.references[0], "--port", "0", "--admin", &admin.to_string()])
        .args(more);
    Ok((Server::that_says_where(command)?, admin))
}

fn order(
    admin: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<(u16, Value)> {
    let answer = Client::connect(admin)?.ask(&request(method, path, &body.to_string()))?;
    Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
}

/// Asks until told to stop; each answer must have the label of the digest in its header. Returns
/// the digests that were met.
fn ask(
    address: SocketAddr,
    kits: &Kits,
    stop: &AtomicBool,
    n_answers: &AtomicUsize,
) -> anyhow::Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    let mut client = Client::connect(address)?;
    let question = request(
        "POST",
        "/predict",
        r#"{"text":["i love it","the worst film","a long text with more than a few words in it"]}"#,
    );
    while !stop.load(Ordering::Relaxed) {
        let answer = client.ask(&question)?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        // The limit on waiting may be met; nothing else may be.
        if answer.status == 429 {
            continue;
        }
        ensure!(answer.status == 200, "{}: {body}", answer.status);
        let digest = answer.header("x-modelkit-digest");
        let label =
            kits.labels.get(digest).with_context(|| format!("an unknown digest {digest}"))?;
        ensure!(
            body.matches(&format!("\"label\":\"{label}\"")).count() == 3,
            "{digest} answered {body}"
        );
        seen.insert(digest.to_owned());
        n_answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(seen)
}

fn reloads(stage: &Stage<'_>) -> anyhow::Result<()> {
    let kits = kits(stage)?;
    let (server, admin) = serve(stage, &kits, &[])?;
    let (stop, n_answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let digests: Vec<&String> = kits.labels.keys().collect();
    let (seen, slowest) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..N_CLIENTS)
            .map(|_| scope.spawn(|| ask(server.address, &kits, &stop, &n_answers)))
            .collect();
        let reload = || {
            let mut slowest = Duration::ZERO;
            for n in 0..N_ROUNDS {
                let began = Instant::now();
                let reference = format!("demo/kit@{}", digests[n % 2]);
                let (status, said) =
                    order(admin, "POST", "/admin/reload", &json!({ "reference": reference }))?;
                ensure!(
                    status == 200 && said["digest"] == json!(digests[n % 2]),
                    "{status} {said}"
                );
                slowest = slowest.max(began.elapsed());
            }
            anyhow::Ok(slowest)
        };
        let slowest = reload();
        stop.store(true, Ordering::Relaxed);
        let seen: Vec<_> =
            clients.into_iter().map(|client| client.join().expect("no client panics")).collect();
        (seen, slowest)
    });
    let slowest = slowest?;
    for seen in seen {
        ensure!(seen?.len() == 2, "a client has not met both models");
    }
    crate::e2e::say(&format!(
        "          {} answers, slowest reload {slowest:?}",
        n_answers.into_inner()
    ));
    Ok(())
}

fn terminations(stage: &Stage<'_>) -> anyhow::Result<()> {
    let (mut n_answers, mut slowest) = (0, Duration::ZERO);
    for round in 0..N_ROUNDS {
        let server = stage.serve(stage.tiny(), &["--drain-delay", "0"])?;
        let (address, n_before) = (server.address, AtomicUsize::new(0));
        let (ended, clients) = std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..N_CLIENTS).map(|_| scope.spawn(|| until_it_ends(address, &n_before))).collect();
            let deadline = Instant::now() + Duration::from_secs(20);
            while n_before.load(Ordering::Relaxed) < 4 * N_CLIENTS && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            let ended = server.end();
            let clients: Vec<_> = clients
                .into_iter()
                .map(|client| client.join().expect("no client panics"))
                .collect();
            (ended, clients)
        });
        let (status, took) = ended?;
        ensure!(status.success(), "round {round}: it exits with {status}");
        for client in clients {
            client.with_context(|| format!("round {round}"))?;
        }
        (n_answers, slowest) = (n_answers + n_before.into_inner(), slowest.max(took));
    }
    crate::e2e::say(&format!("          {n_answers} answers, slowest end {slowest:?}"));
    Ok(())
}

/// Asks until the connection is refused or closed between two requests; a request that was taken
/// must be answered.
fn until_it_ends(address: SocketAddr, n_answers: &AtomicUsize) -> anyhow::Result<()> {
    let question = request("POST", "/predict", &texts::body("i love this film"));
    let Ok(mut client) = Client::connect(address) else { return Ok(()) };
    loop {
        let answer = client.ask(&question).context("a request was lost")?;
        ensure!([200, 429].contains(&answer.status), "{}", answer.status);
        n_answers.fetch_add(1, Ordering::Relaxed);
        if answer.closes() {
            let Ok(next) = Client::connect(address) else { return Ok(()) };
            client = next;
        }
    }
}

fn watch(stage: &Stage<'_>) -> anyhow::Result<()> {
    let kits = kits(stage)?;
    run_quietly(kit_rs(stage, &kits.home).args(["tag", kits.references[0], "demo/kit:one-copy"]))?;
    let canary = format!("{}=50%", kits.references[1]);
    let more = ["--watch", "1", "--canary", &canary, "--shadow", kits.references[1]];
    let (server, admin) = serve(stage, &kits, &more)?;
    let mut client = Client::connect(server.address)?;
    let mut met = BTreeSet::new();
    for n in 0..100 {
        let answer =
            client.ask(&request("POST", "/predict", &texts::body(&format!("good film {n}"))))?;
        met.insert(answer.header("x-modelkit-digest").to_owned());
    }
    ensure!(met.len() == 2, "the canary got nothing: {met:?}");
    until("second opinions are counted", || {
        let metrics = client.ask(&request("GET", "/metrics", ""))?;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        let counts = |role: &str| {
            metrics
                .contains(&format!("second_opinions_total{{of=\"{role}\",result=\"disagrees\"}}"))
        };
        Ok(counts("canary") && counts("shadow"))
    })?;
    let (status, _) = order(admin, "DELETE", "/admin/canary", &json!({}))?;
    ensure!(status == 200, "the canary does not end: {status}");

    // The tag moves, and the server follows.
    let [one, two] = kits.references;
    run_quietly(kit_rs(stage, &kits.home).args(["tag", two, one]))?;
    let digest_of_two =
        kits.labels.iter().find(|(_, label)| **label == "two").map(|(digest, _)| digest.clone());
    let served = |client: &mut Client| -> anyhow::Result<Option<String>> {
        let answer = client.ask(&request("POST", "/predict", &texts::body("good")))?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(Some(answer.header("x-modelkit-digest").to_owned()))
    };
    until("the server follows the tag", || Ok(served(&mut client)? == digest_of_two))?;

    // A ModelKit without weights is refused, and the old one keeps serving.
    let broken = kits.home.join("broken");
    fs::create_dir_all(broken.join("model"))?;
    fs::copy(stage.tiny().join("config.json"), broken.join("model/config.json"))?;
    pack(stage, &kits.home, &broken, "demo/kit:broken")?;
    let (status, said) =
        order(admin, "POST", "/admin/reload", &json!({ "reference": "demo/kit:broken" }))?;
    ensure!(
        status == 502 && said["error"].to_string().contains("model.safetensors"),
        "{status} {said}"
    );
    ensure!(served(&mut client)? == digest_of_two, "the old one does not keep serving");
    Ok(())
}

fn until(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds()? {
        ensure!(Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
