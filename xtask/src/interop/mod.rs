//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod kill;
mod registries;

use std::path::Path;

use crate::peers::Peers;
use crate::report::Report;

/// Show that the real programs on the other side understand us, and we them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only one topic: registries, kill
    #[arg(long, value_name = "TOPIC")]
    only: Option<String>,
    /// Draws the points of `kill` again
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let mut report = Report::default();
    let wants = |topic: &str| args.only.as_deref().is_none_or(|only| only == topic);
    if wants("registries") {
        registries::run(&mut report, &peers, workspace)?;
    }
    if wants("kill") {
        kill::run(&mut report, args.seed, workspace)?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
