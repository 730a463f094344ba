//! `cargo xtask bench serve`: our server beside the tutorial's FastAPI app and the same app on ONNX
//! Runtime.
//!
//! All servers run at once, and are asked by turns, so that a noisy neighbour meets them all.
//! Compare within a run only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::{Value, json};

use crate::e2e::say;
use crate::peers::Peers;
use crate::scratch::{GIB, Scratch};
use crate::serving::load::{Client, closed_loop, request};
use crate::serving::server::Server;
use crate::serving::{self, texts};
use crate::{build, measure};

/// Serve the same model with kit-rs, the tutorial's FastAPI app and ONNX Runtime, under the same
/// load
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds per point and server
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How often each server is started for the cold start
    #[arg(long, default_value_t = 3)]
    starts: usize,
    /// Only our own server
    #[arg(long)]
    alone: bool,
    /// These architectures, each in its base model's shape, with one client and with 32: `all`, or
    /// names of `config.json` (roberta, deberta-v2, …) in place of DistilBERT's whole table
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    architectures: Vec<String>,
}

/// All that are served.
const ARCHITECTURES: [&str; 10] = [
    "distilbert",
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "mpnet",
    "albert",
    "deberta-v2",
    "modernbert",
];

/// Tokens of a text and clients at the same time; no length means mixed ones.
const POINTS: [(Option<usize>, usize); 11] = [
    (Some(10), 1),
    (Some(50), 1),
    (Some(120), 1),
    (Some(10), 8),
    (Some(50), 8),
    (Some(120), 8),
    (Some(10), 32),
    (Some(50), 32),
    (Some(120), 32),
    (None, 8),
    (None, 32),
];

/// The same for the architectures, of which there are many.
const POINTS_EACH: [(Option<usize>, usize); 6] =
    [(Some(10), 1), (Some(50), 1), (Some(120), 1), (Some(10), 32), (Some(50), 32), (Some(120), 32)];

pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    if !args.architectures.is_empty() {
        return architectures(args, workspace);
    }
    let peers = Peers::new(workspace)?;
    let python = serving::python(&peers)?;
    let scratch = Scratch::new(&workspace.join("target/bench/serve"), GIB)?;
    let model = serving::model(&python, workspace, scratch.path())?;
    let kit_rs = build::optimised(workspace)?;
    let sides = Sides { workspace: workspace.to_owned(), python, model, kit_rs };
    say(&measure::machine());
    let names = if args.alone { &["kit-rs"][..] } else { &["kit-rs", "tutorial", "onnxruntime"] };
    let starts = cold_starts(args, &sides, names)?;
    let servers = names
        .iter()
        .map(|name| Ok((*name, sides.start(name)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let points = points(args, &POINTS, &servers)?;
    let memory = memory(&servers)?;
    drop(servers);
    let burst = burst(&sides.start("kit-rs")?)?;
    let document = json!({ "machine": measure::machine(), "cold_start_ms": starts, "points": points, "memory": memory, "burst": burst });
    let path = workspace.join("target/bench/serve.json");
    fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    say(&format!("written to {}", path.display()));
    Ok(())
}

fn architectures(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let is_all = args.architectures.iter().any(|name| name == "all");
    let asked: Vec<&str> = args.architectures.iter().map(String::as_str).collect();
    let names = if is_all { &ARCHITECTURES[..] } else { &asked };
    let peers = Peers::new(workspace)?;
    let python = serving::python(&peers)?;
    let kit_rs = build::optimised(workspace)?;
    say(&measure::machine());
    let mut document = json!({ "machine": measure::machine() });
    for name in names {
        let scratch = Scratch::new(&workspace.join("target/bench/serve"), 2 * GIB)?;
        let model = serving::model_of(name, &python, workspace, scratch.path())?;
        let mut servers = vec!["kit-rs", "tutorial"];
        match fs::read_to_string(model.join("no-onnx.txt")) {
            Ok(why) => say(&format!("not in ONNX' format: {why}")),
            Err(_) => servers.push("onnxruntime"),
        }
        let (workspace, python, kit_rs) = (workspace.to_owned(), python.clone(), kit_rs.clone());
        let sides = Sides { workspace, python, model, kit_rs };
        let servers = servers
            .iter()
            .filter(|name| !args.alone || **name == "kit-rs")
            .map(|name| Ok((*name, sides.start(name)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        document[*name] = json!({
            "points": points(args, &POINTS_EACH, &servers)?, "memory": memory(&servers)?,
        });
    }
    let path = workspace.join("target/bench/architectures.json");
    fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    say(&format!("written to {}", path.display()));
    Ok(())
}

struct Sides {
    workspace: PathBuf,
    python: PathBuf,
    model: PathBuf,
    kit_rs: PathBuf,
}

impl Sides {
    fn start(&self, name: &str) -> anyhow::Result<Server> {
        let kind = match name {
            "kit-rs" => {
                let mut command = Command::new(&self.kit_rs);
                // The load is closed: nobody asks again before an answer, so nothing is to be
                // refused here.
                command.arg("serve").arg(&self.model).args([
                    "--port",
                    "0",
                    "--max-queue-wait",
                    "60000",
                ]);
                return Server::that_says_where(command);
            }
            "tutorial" => "torch",
            _ => "onnx",
        };
        let command = serving::script(&self.python, &self.workspace, "app.py");
        Server::at_a_free_port(command, |command, port| {
            command.arg(&self.model).arg(port.to_string()).arg(kind);
        })
    }
}

fn cold_starts(args: &Args, sides: &Sides, names: &[&str]) -> anyhow::Result<Value> {
    say("\ncold start to the first answer, median ms (page cache warm)");
    let mut all = vec![Vec::new(); names.len()];
    for _ in 0..args.starts {
        for (name, times) in names.iter().zip(&mut all) {
            times.push(sides.start(name)?.cold_start.as_millis());
        }
    }
    let mut document = json!({});
    for (name, mut times) in names.iter().zip(all) {
        times.sort_unstable();
        let median = u64::try_from(times[times.len() / 2])?;
        say(&format!("  {name:<12} {median:>6}"));
        document[*name] = json!(median);
    }
    Ok(document)
}

fn points(
    args: &Args,
    asked: &[(Option<usize>, usize)],
    servers: &[(&str, Server)],
) -> anyhow::Result<Vec<Value>> {
    say(
        "\ntokens clients  server        answers/s      p50 ms      p99 ms   cpu ms/answer   ratio",
    );
    let mut points = Vec::new();
    for (length, n_clients) in asked.iter().copied() {
        let body = move |n: usize| {
            texts::body(&length.map_or_else(|| texts::mixed(n), |length| texts::of(length, n)))
        };
        let tokens = length.map_or("mixed".to_owned(), |length| length.to_string());
        let mut ours = f64::NAN;
        for (name, server) in servers {
            let warm_up = Duration::from_millis(300);
            closed_loop(server.address, n_clients, warm_up, &body);
            let before = server.cpu()?;
            let measured =
                closed_loop(server.address, n_clients, Duration::from_secs(args.seconds), &body);
            let cpu = (server.cpu()? - before).as_secs_f64() * 1e3
                / measured.latencies.len().max(1) as f64;
            let (p50, p99, rate, failures) = (
                measured.percentile(50),
                measured.percentile(99),
                measured.rate,
                measured.failures,
            );
            ours = if *name == "kit-rs" { rate } else { ours };
            let ratio = ours / rate;
            say(&format!(
                "{tokens:>6} {n_clients:>7}  {name:<12} {rate:>10.1} {p50:>11.1} {p99:>11.1} {cpu:>15.1} {ratio:>7.2}{}",
                if failures > 0 { format!("  {failures} failures") } else { String::new() }
            ));
            points.push(json!({ "tokens": tokens, "clients": n_clients, "server": name, "rate": rate, "p50_ms": p50, "p99_ms": p99,
                                "cpu_ms_per_answer": cpu, "failures": failures, "ours_to_theirs": ratio }));
        }
    }
    Ok(points)
}

fn memory(servers: &[(&str, Server)]) -> anyhow::Result<Value> {
    say("\nresident memory after that load, MB (peak)");
    let mut document = json!({});
    for (name, server) in servers {
        let [now, peak] = [server.resident()?, server.peak()?].map(|bytes| bytes as f64 / 1e6);
        say(&format!("  {name:<12} {now:>7.0} ({peak:.0})"));
        document[*name] = json!({ "resident_mb": now, "peak_mb": peak });
    }
    Ok(document)
}

/// 1,000 requests of 50 tokens within 2 seconds, each on a connection of its own, and probes
/// meanwhile.
fn burst(server: &Server) -> anyhow::Result<Value> {
    const N_REQUESTS: u32 = 1000;
    let limited = Server::that_says_where({
        let exe = fs::read_link(format!("/proc/{}/exe", server.pid()))?;
        let line = fs::read(format!("/proc/{}/cmdline", server.pid()))?;
        let args = line.split(|byte| *byte == 0).filter(|arg| !arg.is_empty()).skip(1);
        let mut command = Command::new(exe);
        command.args(args.map(|arg| String::from_utf8_lossy(arg).replace("60000", "1000")));
        command
    })?;
    let address = limited.address;
    // It knows its pace.
    closed_loop(address, 8, Duration::from_secs(1), &|n| texts::body(&texts::of(50, n)));
    let started = Instant::now();
    let (answers, probes) = std::thread::scope(|scope| {
        let prober = scope.spawn(move || {
            let mut latencies = Vec::new();
            let mut client = Client::connect(address)?;
            while started.elapsed() < Duration::from_millis(3500) {
                let asked = Instant::now();
                let answer = client.ask(&request("GET", "/readyz", ""))?;
                latencies.push((answer.status, asked.elapsed()));
                std::thread::sleep(Duration::from_millis(5));
            }
            anyhow::Ok(latencies)
        });
        let ask = |n: u32| {
            let at = Duration::from_secs(2) * n / N_REQUESTS;
            std::thread::sleep(at.saturating_sub(started.elapsed()));
            let question = request("POST", "/predict", &texts::body(&texts::of(50, n as usize)));
            let mut client = Client::connect(address).ok()?;
            let asked = Instant::now();
            let answer = client.ask(&question).ok()?;
            Some((answer.status, asked.elapsed(), answer.header("retry-after").to_owned()))
        };
        let clients: Vec<_> = (0..N_REQUESTS).map(|n| scope.spawn(move || ask(n))).collect();
        let answers: Vec<_> =
            clients.into_iter().map(|client| client.join().ok().flatten()).collect();
        (answers, prober.join())
    });
    let probes = probes.map_err(|_| anyhow::anyhow!("the prober panicked"))??;
    let of = |status: u16| {
        let mut times: Vec<f64> = answers
            .iter()
            .flatten()
            .filter(|answer| answer.0 == status)
            .map(|answer| answer.1.as_secs_f64() * 1e3)
            .collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (accepted, rejected) = (of(200), of(429));
    let mut probed: Vec<f64> = probes.iter().map(|probe| probe.1.as_secs_f64() * 1e3).collect();
    probed.sort_by(f64::total_cmp);
    let at = |times: &[f64], percent: usize| {
        times.get(times.len() * percent / 100).copied().unwrap_or(f64::NAN)
    };
    let lost = answers.iter().filter(|answer| answer.is_none()).count();
    let without_advice =
        answers.iter().flatten().filter(|answer| answer.0 == 429 && answer.2.is_empty()).count();
    say(&format!(
        "\n1,000 requests in 2 s: {} x 200 (p50 {:.0} ms, p99 {:.0} ms), {} x 429 (p50 {:.2} ms, p99 {:.2} ms; {without_advice} without Retry-After), {lost} lost",
        accepted.len(),
        at(&accepted, 50),
        at(&accepted, 99),
        rejected.len(),
        at(&rejected, 50),
        at(&rejected, 99)
    ));
    say(&format!(
        "  /readyz meanwhile: {} probes, p50 {:.2} ms, p99 {:.2} ms; peak memory {:.0} MB",
        probed.len(),
        at(&probed, 50),
        at(&probed, 99),
        limited.peak()? as f64 / 1e6
    ));
    Ok(json!({
        "accepted": accepted.len(), "accepted_p50_ms": at(&accepted, 50), "accepted_p99_ms": at(&accepted, 99),
        "rejected": rejected.len(), "rejected_p50_ms": at(&rejected, 50), "rejected_p99_ms": at(&rejected, 99), "lost": lost,
        "probe_p50_ms": at(&probed, 50), "probe_p99_ms": at(&probed, 99), "peak_mb": limited.peak()? as f64 / 1e6,
    }))
}
