//! How fast the engine is on this machine, without HTTP: `cargo run --release --example speed --
//! DIR [ROUNDS [THREADS]]`.
//!
//! Prints one line per batch shape: median milliseconds, texts per second, and GFLOP/s of what is
//! really computed (the last layer for [CLS] only). Below stand the same layers' products by the
//! gemm crate, in one thread: the least that kernels of our own have to beat. The last column is
//! GFLOP per second of processor time (on Linux), which a busy neighbour does not spoil.
#![expect(clippy::print_stdout, reason = "a program that shows figures")]
#![expect(unsafe_code, reason = "the gemm crate takes pointers")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use kit_serve::Predictor;
use kit_serve::engine::{Engine, EngineOptions, Tokens};

/// Texts and tokens of each batch.
const SHAPES: [(usize, usize); 8] =
    [(1, 10), (1, 50), (1, 120), (1, 300), (8, 50), (32, 10), (20, 50), (8, 120)];

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("say the model folder")?);
    let n_rounds: u32 = args.next().map_or(Ok(15), |n| n.parse())?;
    let started = Instant::now();
    let n_threads = args.next().map(|n| n.parse()).transpose()?;
    let engine = Engine::load(&dir, &EngineOptions { n_threads, ..Default::default() })?;
    println!(
        "loaded in {:.0} ms, {}",
        started.elapsed().as_secs_f64() * 1e3,
        engine.instruction_set()
    );
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("config.json"))?)?;
    let size =
        |name: &str, other: &str| config[name].as_f64().or(config[other].as_f64()).unwrap_or(0.0);
    let (dim, hidden) = (size("dim", "hidden_size"), size("hidden_dim", "intermediate_size"));
    let n_layers = size("n_layers", "num_hidden_layers");
    println!(
        "{:>6} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "texts", "tokens", "ms", "texts/s", "GFLOP/s", "/cpu s"
    );
    for (n_texts, n_tokens) in SHAPES {
        let ids = |text: usize| {
            let id = |n: usize| 1000 + ((n * 31 + text * 17) % 20_000) as u32;
            vec![Tokens { ids: (0..n_tokens).map(id).collect(), kinds: Vec::new() }]
        };
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
        let last = 2.0 * 2.0 * dim * dim
            + (2.0 * (2.0 * dim * dim + 2.0 * dim * hidden) + 4.0 * dim * length) / length;
        let flop = n_texts as f64 * length * ((n_layers - 1.0) * per_token + last);
        let (ms, rate) = (median * 1e3, n_texts as f64 / median);
        let (per_second, per_cpu_second) =
            (flop / median / 1e9, flop * f64::from(n_runs) / cpu / 1e9);
        println!(
            "{n_texts:>6} {n_tokens:>6} {ms:>9.2} {rate:>9.1} {per_second:>9.1} {per_cpu_second:>9.1}"
        );
    }
    println!("the products of {n_layers} layers by the gemm crate, one thread");
    for n_tokens in [10, 50, 120] {
        let sizes = [(dim, 3.0 * dim), (dim, dim), (dim, hidden), (hidden, dim)]
            .map(|(k, n)| (k as usize, n as usize));
        let flop: f64 = sizes.iter().map(|(k, n)| 2.0 * (n_tokens * k * n) as f64).sum();
        let mut products = sizes.map(|(k, n)| {
            (k, n, vec![1.0; n_tokens * k], vec![1.0; k * n], vec![0.0; n_tokens * n])
        });
        let (cpu, began, mut n_runs) = (cpu_seconds(), Instant::now(), 0);
        while began.elapsed().as_secs_f64() < 1.0 {
            n_runs += 1;
            products.iter_mut().for_each(|(k, n, left, right, product)| {
                by_gemm(n_tokens, *k, *n, left, right, product)
            });
        }
        let per_cpu_second = flop * f64::from(n_runs) / (cpu_seconds() - cpu) / 1e9;
        println!("{:>6} {n_tokens:>6} {:>9} {:>9} {:>9} {per_cpu_second:>9.1}", 1, "", "", "");
    }
    Ok(())
}

/// `product += left · right`; `left`: `[m, k]`; `right`: `[k, n]`.
fn by_gemm(m: usize, k: usize, n: usize, left: &[f32], right: &[f32], product: &mut [f32]) {
    assert!(left.len() == m * k && right.len() == k * n && product.len() == m * n);
    let [n_stride, k_stride] = [n, k].map(usize::cast_signed);
    let (product, right, left, one_thread) =
        (product.as_mut_ptr(), right.as_ptr(), left.as_ptr(), gemm::Parallelism::None);
    // SAFETY: the sizes were checked; the product is asked for transposed, as gemm is at its best
    // with adjacent elements in a column.
    unsafe {
        gemm::gemm(
            n, m, k, product, n_stride, 1, true, right, n_stride, 1, left, k_stride, 1, 1.0, 1.0,
            false, false, false, one_thread,
        );
    }
}

/// What this process has used on all processors together; 0 where `/proc` does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // utime and stime; see proc(5).
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
