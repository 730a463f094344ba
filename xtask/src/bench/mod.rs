//! `cargo xtask bench`: speed and memory, side by side with the peers, in one run.

mod train;

use std::path::Path;

/// Measure speed and memory side by side with the peers
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    Train(train::Args),
}

/// Runs one benchmark.
pub(crate) fn run(bench: &Bench, workspace: &Path) -> anyhow::Result<()> {
    match bench {
        Bench::Train(args) => train::run(args, workspace),
    }
}
