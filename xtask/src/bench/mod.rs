//! `cargo xtask bench`: speed and memory, side by side with the peers, in one run.

mod gitops;
mod pack;
mod serve;
mod slow;
mod train;
mod transfer;
mod trust;

use std::path::Path;

/// Measure speed and memory side by side with the peers
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    Gitops(gitops::Args),
    Pack(pack::Args),
    Transfer(transfer::Args),
    Serve(serve::Args),
    Train(train::Args),
    Trust(trust::Args),
}

/// Runs one benchmark.
pub(crate) fn run(bench: &Bench, workspace: &Path) -> anyhow::Result<()> {
    match bench {
        Bench::Gitops(args) => gitops::run(args, workspace),
        Bench::Pack(args) => pack::run(args, workspace),
        Bench::Transfer(args) => transfer::measure(args, workspace),
        Bench::Serve(args) => serve::run(args, workspace),
        Bench::Train(args) => train::run(args, workspace),
        Bench::Trust(args) => trust::run(args, workspace),
    }
}
