//! `interop --only flux`: the real Flux in a real Kubernetes, and beside it our own cluster, on one
//! repository.
//!
//! Each case is a Kustomization. What both controllers say of it in the end is compared: conditions
//! with their reasons and messages, inventory, history, what is in the cluster. What differs fails
//! its claim, unless it stands in [`differences`] with a reason.

mod cases;
mod changes;
mod differences;
mod say;
mod world;

use std::path::Path;

use crate::kube::Programs;
use crate::peers::Peers;
use crate::report::Report;

const PEER: &str = "Flux 2.9 (kustomize-controller 1.9.6) in Kubernetes 1.36.4";

pub(super) fn run(
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let programs = match Programs::all(peers) {
        Ok(programs) => programs,
        Err(error) => {
            report.skip(PEER, "everything that it would judge", &format!("{error:#}"));
            return Ok(());
        }
    };
    let world = world::World::start(&programs, peers, program, dir)?;
    cases::run(&world, report)?;
    changes::run(&world, report)
}
