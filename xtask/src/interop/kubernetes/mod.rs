//! `interop --only kubernetes` and `--only deliveries`: a real node, and Flux, with what `kit-rs`
//! makes for them.
//!
//! All of it runs in namespaces of its own, in a process of its own that tells its claims to this
//! one.

mod checked;
mod deliveries;
mod docker;
mod environments;
mod failures;
mod images;
mod kserve;
mod serving;
mod story;
mod world;

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use self::world::World;
use crate::kube::{Programs, namespaces};
use crate::peers::Peers;
use crate::report::Report;

const PEER: &str = "Kubernetes 1.36.4, containerd 2.2.3, runc, Flux 2.9";

/// What is shown on a node of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Images that have their model in them, and what becomes of their pods.
    Images,
    /// Models that reach pods otherwise, and environments.
    Deliveries,
}

/// What the process inside tells.
const TOLD: &str = "report.json";
/// What the process inside is told where it is.
pub(super) const INSIDE: &str = "--inside";

/// Builds and installs what is needed, which takes a network, and tells all claims.
pub(super) fn run(
    part: Part,
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let ready = || {
        Programs::of_node(peers)?;
        peers.debian("apache2-utils", "htpasswd")?;
        anyhow::Ok(())
    };
    if let Err(error) = ready() {
        report.skip(PEER, "everything that a node would judge", &format!("{error:#}"));
        return Ok(());
    }
    match part {
        Part::Images => {
            if let Err(error) = peers.debian("podman", "podman") {
                report.skip("podman", "runs the image", &format!("{error:#}"));
            }
        }
        Part::Deliveries => ready_deliveries(peers, report),
    }
    let mut inside = Command::new(std::env::current_exe()?);
    let topic = match part {
        Part::Images => "kubernetes",
        Part::Deliveries => "deliveries",
    };
    inside.args(["interop", "--only", topic, "--program"]).arg(program).arg(INSIDE).arg(dir);
    let told = dir.join(TOLD);
    match namespaces::run(inside, &cgroup(dir)) {
        Ok(_) if told.exists() => report.take(&told),
        Ok(status) => anyhow::bail!("the node's part ended with {status}"),
        Err(error) => {
            report.skip(PEER, "everything that a node would judge", &format!("{error:#}"));
            Ok(())
        }
    }
}

/// Builds and installs what models reach their pods by, beside a node.
fn ready_deliveries(peers: &Peers, report: &mut Report) {
    let docker = || {
        peers.debian("busybox-static", "busybox")?;
        peers.debian("docker.io", "dockerd")
    };
    if let Err(error) = docker() {
        report.skip("Docker", "everything that it would judge", &format!("{error:#}"));
    }
    if let Err(error) = Programs::new().and_then(|programs| programs.kserve()) {
        report.skip("KServe", "everything that it would judge", &format!("{error:#}"));
    }
}

/// A name for the cgroup of a run's pods, which no other run has.
fn cgroup(dir: &Path) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    format!("kit-rs-node-{:x}", hasher.finish())
}

/// The part inside the namespaces.
pub(super) fn inside(
    part: Part,
    program: &Path,
    workspace: &Path,
    dir: &Path,
) -> anyhow::Result<()> {
    ensure!(std::process::id() == 1, "{INSIDE} is for `interop --only kubernetes` itself");
    let mut report = Report::default();
    let shown = show(part, program, workspace, dir, &mut report);
    if let Err(error) = &shown {
        report.claim(PEER, "the node runs", || Err(anyhow::anyhow!("{error:#}")));
    }
    report.save(&dir.join(TOLD))
}

fn show(
    part: Part,
    program: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    namespaces::furnish(dir)?;
    let peers = Peers::new(workspace)?;
    let world = World::start(&peers, program, workspace, dir, &cgroup(dir))?;
    match part {
        Part::Images => {
            serving::run(&world, report)?;
            failures::run(&world, report)?;
            images::run(&world, report)?;
            images::podman(&world, report);
            story::run(&world, report);
        }
        Part::Deliveries => {
            let server = deliveries::server(&world)?;
            deliveries::run(&world, &server, report)?;
            checked::run(&world, report)?;
            docker::run(&world, &server, report)?;
            kserve::run(&world, &server, report)?;
            environments::run(&world, report)?;
        }
    }
    Ok(())
}
