//! `cargo xtask bench trust`: what a signature costs whoever takes a ModelKit by it, and what the
//! training record costs whoever trains.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use crate::build;
use crate::e2e::say;
use crate::measure::{self, Side, alternate, machine};
use crate::registries::{Registry, Shop};
use crate::scratch::{MIB, Scratch};

/// Measure what signatures cost, and the record of a training
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The size of the signed ModelKit in MiB
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// How often each side runs, by turns
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// The checkpoint that is trained: a folder with the hub's file names [default: a tiny one, of
    /// which a step takes so little that no share can be told]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Steps of each training
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Where everything lies, in a folder of its own
    #[arg(long, default_value = "/dev/shm", value_name = "DIR")]
    dir: PathBuf,
    /// The `kit-rs` to measure, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Texts in a step.
const BATCH: usize = 16;
/// After how many steps a training keeps a link, where nobody says otherwise.
const RECORD_EVERY: usize = 100;

/// Measures, and shows both tables.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let program = match &args.program {
        Some(program) => fs::canonicalize(program)?,
        None => build::optimised_for_training(workspace)?,
    };
    let weights = match &args.model {
        Some(model) => fs::metadata(model.join("model.safetensors"))?.len(),
        None => MIB,
    };
    let scratch = Scratch::new(
        &args.dir.join("kit-rs-bench-trust"),
        4 * args.size as u64 * MIB + 8 * weights,
    )?;
    let shop = Shop::open(scratch.path().to_owned(), program)?;
    say(&format!("\n{}; medians of {} alternating runs", machine(), args.rounds));
    let mut document = json!({ "machine": machine() });
    document["pull"] = pull(args, &shop)?;
    document["record"] = record(args, &shop, workspace)?;
    let out = workspace.join("target/bench/trust.json");
    fs::create_dir_all(out.parent().context("a file has a folder")?)?;
    fs::write(&out, serde_json::to_string_pretty(&document)?)?;
    say(&format!("written to {}", out.display()));
    Ok(())
}

/// The same ModelKit, taken as it is, by its signature in each form, and by one under a policy that
/// asks for a statement too.
fn pull(args: &Args, shop: &Shop) -> anyhow::Result<Value> {
    let registry = Registry::ours(&shop.kit, &shop.dir.join("registry"), "127.0.0.1:0", &[])?;
    let there = format!("{}/demo/kit:v1", registry.address);
    shop.pack("maker", &registry.address, args.size << 20)?;
    shop.kit("maker", &format!("push {there}"))?;
    fs::remove_dir_all(shop.dir.join("maker"))?;
    shop.kit("maker", "keygen --no-password --output team")?;
    let tagged = format!("{}/demo/older:v1", registry.address);
    shop.kit("maker", &format!("copy {there} {tagged}"))?;
    shop.kit("maker", &format!("sign {there} --key team.key --form bundle"))?;
    shop.kit("maker", &format!("sign {tagged} --key team.key --form tag"))?;
    fs::write(shop.dir.join("said.json"), "{}")?;
    let attest = "--key team.key --type slsaprovenance1 --predicate said.json";
    shop.kit("maker", &format!("attest {there} {attest}"))?;
    fs::write(
        shop.dir.join("policy.yaml"),
        "mode: enforce\nkeys: [team.pub]\npredicates: [slsaprovenance1]\n",
    )?;
    let side = |name: &'static str, line: String| Side {
        name,
        run: Box::new(move || {
            let home = shop.dir.join("taker");
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            let mut command = shop.kit_command("taker", &line);
            measure::run(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
        }),
    };
    let mut sides = [
        side("pull", format!("pull {there}")),
        side("by a bundle", format!("pull {there} --require-key team.pub")),
        side("by the tag", format!("pull {tagged} --require-key team.pub")),
        side("and a statement", format!("pull {there} --trust-policy policy.yaml")),
    ];
    let costs = alternate(args.rounds, &mut sides)?;
    let mut table = format!("\na ModelKit of {} MiB, over loopback\n", args.size);
    let mut rows = Vec::new();
    for (side, cost) in sides.iter().zip(&costs) {
        let ms = |cost: &measure::Cost| cost.wall.as_secs_f64() * 1e3;
        let more = ms(cost) - ms(&costs[0]);
        let (name, wall, cpu) = (side.name, ms(cost), cost.cpu.as_secs_f64() * 1e3);
        let _ = writeln!(table, "  {name:<16} {wall:>9.1} ms {cpu:>9.1} ms CPU {more:>+8.1} ms");
        rows.push(json!({ "side": name, "wall_ms": wall, "cpu_ms": cpu, "more_ms": more }));
    }
    say(&table);
    Ok(json!({ "mib": args.size, "sides": rows }))
}

/// A link after each step against none but the last, and twice the steps without: what a link takes,
/// and what a step, of which a hundred go to a link where nobody says otherwise. By processor time,
/// which others on the machine change less than what a clock shows.
fn record(args: &Args, shop: &Shop, workspace: &Path) -> anyhow::Result<Value> {
    let tiny = workspace.join("trainer/testdata/tiny-distilbert");
    let model = args.model.as_ref().map_or(Ok(tiny), fs::canonicalize)?;
    fs::write(shop.dir.join("held.csv"), "text,label\na good one,1\na bad one,0\n")?;
    let side = |name: &'static str, n_steps: usize, every: usize| -> anyhow::Result<Side<'_>> {
        let rows: String = (0..n_steps * BATCH)
            .map(|n| format!("what a film number {n} this was and how it went on,{}\n", n % 2))
            .collect();
        let data = format!("train-{n_steps}.csv");
        fs::write(shop.dir.join(&data), format!("text,label\n{rows}"))?;
        let line = format!(
            "train --dataset {data} --validation held.csv --output trained-{n_steps}-{every} --epochs 1 --no-kitfile --keep-every 1000000 --batch-size {BATCH} --record-every {every}"
        );
        let model = model.clone();
        let run = Box::new(move || {
            let mut command = shop.kit_command("trainer", &line);
            command.arg("--model").arg(&model).stdin(Stdio::null());
            measure::run(command.stdout(Stdio::null()).stderr(Stdio::null()))
        });
        Ok(Side { name, run })
    };
    const NEVER: usize = 1_000_000;
    let mut sides = [
        side("without", args.steps, NEVER)?,
        side("a link for each step", args.steps, 1)?,
        side("twice the steps", 2 * args.steps, NEVER)?,
    ];
    let costs = alternate(args.rounds.min(5), &mut sides)?;
    let path = shop.dir.join(format!("trained-{}-1/training-record.json", args.steps));
    let (text, bytes) = (fs::read_to_string(&path)?, fs::metadata(&path)?.len());
    let links: Value = serde_json::from_str(&text)?;
    let n_links = links["links"].as_array().map_or(0, Vec::len);
    // One more for the state that it began with.
    ensure!(n_links == args.steps + 1, "{n_links} links were kept of {} steps", args.steps);
    let ms = |cost: &measure::Cost| cost.cpu.as_secs_f64() * 1e3;
    // The last step has a link in any case.
    let link_ms = (ms(&costs[1]) - ms(&costs[0])) / (args.steps as f64 - 1.0);
    let step_ms = (ms(&costs[2]) - ms(&costs[0])) / args.steps as f64;
    let share = link_ms / (link_ms + step_ms * RECORD_EVERY as f64) * 100.0;
    say(&format!(
        "\n{}, batches of {BATCH}, processor time\n  a step {step_ms:.1} ms, a link of the record {link_ms:.1} ms: {share:.2} % of a training with one every {RECORD_EVERY} steps\n  a record of {n_links} links: {bytes} bytes\n",
        model.file_name().unwrap_or_default().to_string_lossy()
    ));
    Ok(json!({
        "step_ms": step_ms, "link_ms": link_ms, "percent": share, "links": n_links, "bytes": bytes,
    }))
}
