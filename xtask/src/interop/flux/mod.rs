//! `interop --only flux`: the real Flux in a real Kubernetes, and beside it our own cluster, on one
//! repository.
//!
//! Each case is a Kustomization. What both controllers say of it in the end is compared: conditions
//! with their reasons and messages, inventory, history, what is in the cluster. What differs fails
//! its claim, unless it stands in [`differences`] with a reason.

mod beside;
mod bootstrap;
mod cases;
mod changes;
mod differences;
mod events;
mod oci;
mod rendered;
mod say;
mod world;

use std::path::Path;

pub(super) use beside::run as beside;

use crate::kube::Programs;
use crate::peers::Peers;
use crate::report::Report;

const PEER: &str = "Flux 2.9 (kustomize-controller 1.9.6) in Kubernetes 1.36.4";

pub(super) fn run(
    peers: &Peers,
    program: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let programs = match Programs::of_control_plane(peers) {
        Ok(programs) => programs,
        Err(error) => {
            report.skip(PEER, "everything that it would judge", &format!("{error:#}"));
            return Ok(());
        }
    };
    let world = world::World::start(&programs, peers, program, dir)?;
    // `gitops render` would refuse to add an app to what the cases break.
    rendered::run(&world, program, workspace, report)?;
    let names = cases::run(&world, report)?;
    events::run(&world, report, &names);
    changes::run(&world, report)?;
    oci::run(&world, &programs, program, report)?;
    drop(world);
    bootstrap::run(&programs, peers, program, dir, report)
}
