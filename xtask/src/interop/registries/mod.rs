//! Registries and their clients: our client against other registries, other clients against ours.

mod ours;
mod pages;
mod theirs;
mod token;

use std::path::Path;

use crate::peers::Peers;
use crate::report::Report;

/// Runs both directions.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    theirs::run(report, peers, program, dir)?;
    ours::run(report, peers, program, dir)?;
    pages::run(report, peers, program, dir);
    Ok(())
}
