//! Fine-tuning steps of kit-rs and of PyTorch with transformers, by turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use crate::build;
use crate::e2e::say;
use crate::interop::PACKAGES;
use crate::measure::{self, Cost};
use crate::peers::{Peers, run_quietly};
use crate::scratch::Scratch;

/// Fine-tuning, side by side with PyTorch and transformers
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The checkpoint: a folder with the hub's file names
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Labelled text: {"samples": [{"text", "label"}]}, labels 0 and 1
    #[arg(long, value_name = "FILE")]
    dataset: PathBuf,
    /// Steps of each run; processor time of the whole run is divided by them, with that of a run of
    /// no steps subtracted
    #[arg(long, default_value_t = 20, value_name = "N")]
    steps: usize,
    /// Texts in a step
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch_size: usize,
    /// Runs of each side, by turns
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// Texts are as long as the longest step takes: 128 tokens each, for a step of full size
    #[arg(long)]
    full: bool,
    /// Also measure the tutorial's own settings in PyTorch: batches of 4, padded to 128
    #[arg(long)]
    tutorial: bool,
    /// The `kit-rs` to measure, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// One step's time, and the process's largest memory.
#[derive(Clone, Copy)]
struct Step {
    wall_ms: f64,
    cpu_ms: f64,
    peak_mib: f64,
}

/// Measures, and shows a table.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let program = match &args.program {
        Some(program) => fs::canonicalize(program)?,
        None => build::optimised_for_training(workspace)?,
    };
    let python = peers.python("transformers", &PACKAGES)?;
    // The kept state holds the weights and what AdamW remembers of each.
    let weights = fs::metadata(args.model.join("model.safetensors"))?.len();
    let scratch = Scratch::new(&workspace.join("target/bench/train"), 8 * weights)?;
    let dir = scratch.path();
    let dataset = subset(args, dir)?;
    let script = workspace.join("trainer/testdata/peer.py");
    let torch = |batch: usize, fixed: usize| {
        let mut command = Command::new(&python);
        command.arg(&script).arg("train").arg(&args.model).arg(&dataset).arg("-");
        command.args([batch, fixed, args.steps].map(|number| number.to_string()));
        let told: Value = serde_json::from_str(&run_quietly(&mut command)?)?;
        let number = |key: &str| told[key].as_f64().context("a number");
        Ok(Step {
            wall_ms: number("step_wall_ms")?,
            cpu_ms: number("step_cpu_ms")?,
            peak_mib: number("peak_mib")?,
        })
    };
    type Side<'a> = (&'a str, Box<dyn Fn() -> anyhow::Result<Step> + 'a>);
    let fixed = if args.full { 128 } else { 0 };
    let mut sides: Vec<Side<'_>> = vec![
        ("kit-rs, flex", Box::new(|| ours(&program, args, &dataset, dir))),
        ("PyTorch", Box::new(|| torch(args.batch_size, fixed))),
    ];
    if args.tutorial {
        sides.push(("PyTorch, batches of 4 padded to 128", Box::new(|| torch(4, 128))));
    }
    let mut found: Vec<Vec<Step>> = vec![Vec::new(); sides.len()];
    for _ in 0..args.rounds {
        for ((name, side), found) in sides.iter().zip(&mut found) {
            found.push(side().with_context(|| (*name).to_owned())?);
        }
    }
    say(&format!(
        "{}; {} steps a run, medians of {} runs",
        measure::machine(),
        args.steps,
        args.rounds
    ));
    say(&format!("{:38} {:>12} {:>12} {:>10}", "one step", "wall, ms", "cpu, ms", "peak, MiB"));
    for ((name, _), steps) in sides.iter().zip(&found) {
        let middle = |of: fn(&Step) -> f64| {
            let mut values: Vec<f64> = steps.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (wall, cpu, peak) =
            (middle(|s| s.wall_ms), middle(|s| s.cpu_ms), middle(|s| s.peak_mib));
        say(&format!("{name:38} {wall:12.0} {cpu:12.0} {peak:10.0}"));
    }
    Ok(())
}

/// So many examples that an epoch has the steps asked for.
fn subset(args: &Args, dir: &Path) -> anyhow::Result<PathBuf> {
    let document: Value = serde_json::from_slice(&fs::read(&args.dataset)?)?;
    let samples = document["samples"].as_array().context("the dataset has samples")?;
    let n = args.steps * args.batch_size;
    ensure!(samples.len() >= n, "{} examples are too few for {} steps", samples.len(), args.steps);
    let long = |sample: &Value| {
        let text = sample["text"].as_str().unwrap_or_default();
        json!({ "text": format!("{text} ").repeat(128), "label": sample["label"] })
    };
    let rows: Vec<Value> = match args.full {
        true => samples[..n].iter().map(long).collect(),
        false => samples[..n].to_vec(),
    };
    let path = dir.join("dataset.json");
    fs::write(&path, json!({ "samples": rows }).to_string())?;
    // What is measured after the steps is not of interest.
    fs::write(dir.join("one.json"), json!({ "samples": [samples[0], samples[1]] }).to_string())?;
    Ok(path)
}

fn ours(program: &Path, args: &Args, dataset: &Path, dir: &Path) -> anyhow::Result<Step> {
    let output = dir.join("trained");
    let train = |dataset: &Path| -> anyhow::Result<(Cost, Value)> {
        let mut command = Command::new(program);
        command.args(["train", "--epochs", "1", "--no-kitfile", "--keep-every", "1000000"]);
        command.args(["--batch-size", &args.batch_size.to_string()]);
        command
            .arg("--model")
            .arg(&args.model)
            .arg("--dataset")
            .arg(dataset)
            .arg("--output")
            .arg(&output);
        command
            .arg("--validation")
            .arg(dir.join("one.json"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let cost = measure::run(&mut command)?;
        let report = fs::read(dir.join("trained-report.json"))?;
        Ok((cost, serde_json::from_slice(&report)?))
    };
    let (idle, _) = train(&dir.join("one.json"))?;
    let (cost, report) = train(dataset)?;
    let seconds = report["epochs"][0]["train_seconds"].as_f64().context("a report tells times")?;
    let n_steps = args.steps as f64;
    let cpu = cost.cpu.saturating_sub(idle.cpu).as_secs_f64();
    Ok(Step {
        wall_ms: seconds / n_steps * 1e3,
        cpu_ms: cpu / n_steps * 1e3,
        peak_mib: cost.peak as f64 / f64::from(1 << 20),
    })
}
