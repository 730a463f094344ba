//! `cargo xtask bench`: speed and memory, side by side with the peers, in one run.

mod serve;

use std::path::Path;

/// Measure speed and memory side by side with the peers
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    Serve(serve::Args),
}

/// Runs one benchmark.
pub(crate) fn run(bench: &Bench, workspace: &Path) -> anyhow::Result<()> {
    match bench {
        Bench::Serve(args) => serve::run(args, workspace),
    }
}
