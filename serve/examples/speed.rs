//! How fast the engine is on this machine, without HTTP: `cargo run --release --example speed -- DIR [ROUNDS [THREADS]]`.
//!
//! Prints one line per batch shape: median milliseconds, texts per second, and GFLOP/s of what is really computed (the last layer for [CLS] only).
//! The last column is GFLOP per second of processor time (on Linux), which a busy neighbour does not spoil.
#![expect(clippy::print_stdout, reason = "a program that shows figures")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use kit_serve::Predictor;
use kit_serve::engine::{Engine, EngineOptions};

/// Texts and tokens of each batch.
const SHAPES: [(usize, usize); 8] = [(1, 10), (1, 50), (1, 120), (1, 300), (8, 50), (32, 10), (20, 50), (8, 120)];

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("say the model folder")?);
    let n_rounds: u32 = args.next().map_or(Ok(15), |n| n.parse())?;
    let started = Instant::now();
    let n_threads = args.next().map(|n| n.parse()).transpose()?;
    let engine = Engine::load(&dir, &EngineOptions { n_threads, ..Default::default() })?;
    println!("loaded in {:.0} ms, {}", started.elapsed().as_secs_f64() * 1e3, engine.instruction_set());
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("config.json"))?)?;
    let size = |name: &str, other: &str| config[name].as_f64().or(config[other].as_f64()).unwrap_or(0.0);
    let (dim, hidden) = (size("dim", "hidden_size"), size("hidden_dim", "intermediate_size"));
    let n_layers = size("n_layers", "num_hidden_layers");
    println!("{:>6} {:>6} {:>9} {:>9} {:>9} {:>9}", "texts", "tokens", "ms", "texts/s", "GFLOP/s", "/cpu s");
    for (n_texts, n_tokens) in SHAPES {
        let ids = |text: usize| (0..n_tokens).map(|n| 1000 + ((n * 31 + text * 17) % 20_000) as u32).collect::<Vec<_>>();
        let texts: Vec<_> = (0..n_texts).map(ids).collect();
        let mut times = Vec::new();
        let (cpu, began, mut n_runs) = (cpu_seconds(), Instant::now(), 0);
        // Processor time is told in hundredths of a second.
        while n_runs <= n_rounds || (began.elapsed().as_secs_f64() < 0.5 && n_runs < 1000) {
            n_runs += 1;
            let started = Instant::now();
            engine.predict(&texts)?;
            times.push(started.elapsed().as_secs_f64());
        }
        let cpu = cpu_seconds() - cpu;
        // The first one warms up.
        times.remove(0);
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let length = n_tokens as f64;
        let per_token = 2.0 * (4.0 * dim * dim + 2.0 * dim * hidden) + 4.0 * dim * length;
        let last = 2.0 * 2.0 * dim * dim + (2.0 * (2.0 * dim * dim + 2.0 * dim * hidden) + 4.0 * dim * length) / length;
        let flop = n_texts as f64 * length * ((n_layers - 1.0) * per_token + last);
        let (ms, rate) = (median * 1e3, n_texts as f64 / median);
        let (per_second, per_cpu_second) = (flop / median / 1e9, flop * f64::from(n_runs) / cpu / 1e9);
        println!("{n_texts:>6} {n_tokens:>6} {ms:>9.2} {rate:>9.1} {per_second:>9.1} {per_cpu_second:>9.1}");
    }
    Ok(())
}

/// What this process has used on all processors together; 0 where `/proc` does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // utime and stime; see proc(5).
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
