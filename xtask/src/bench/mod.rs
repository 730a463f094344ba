//! `cargo xtask bench`: speed and memory, side by side with the peers, in one run.

use std::path::Path;

/// Measure speed and memory side by side with the peers
#[derive(clap::Subcommand)]
pub(crate) enum Bench {}

/// Runs one benchmark.
pub(crate) fn run(bench: &Bench, _workspace: &Path) -> anyhow::Result<()> {
    match *bench {}
}
