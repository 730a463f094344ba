//! Registries and their clients: our client against other registries, other clients against ours.

mod ours;
mod theirs;
mod token;

use std::path::Path;

use crate::build;
use crate::peers::Peers;
use crate::report::Report;

/// Runs both directions.
pub(super) fn run(report: &mut Report, peers: &Peers, workspace: &Path) -> anyhow::Result<()> {
    let kit = build::servers(workspace)?;
    let dir = workspace.join("target/interop/registries");
    theirs::run(report, peers, &kit, &dir)?;
    ours::run(report, peers, &kit, &dir)
}
