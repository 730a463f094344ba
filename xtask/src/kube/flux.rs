//! Flux' controllers as processes, with their definitions in the cluster.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

use super::plane::Daemon;
use super::programs::{BESIDE, SYNCING};
use super::{ControlPlane, Programs};
use crate::peers::run_quietly;
use crate::registries::free_address;

/// Flux in a control plane.
pub(crate) struct Flux {
    /// Where Receivers are called: `http://HOST:PORT`, if there are any.
    pub(crate) receivers: Option<String>,
}

impl Flux {
    /// Installs the definitions of source- and kustomize-controller and starts them; they end with
    /// the control plane.
    pub(crate) fn start(
        plane: &mut ControlPlane,
        programs: &Programs,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        install(plane, programs, &SYNCING)?;
        sync(plane, programs, dir, None, "")?;
        Ok(Self { receivers: None })
    }

    /// The same with all the others, which hear of what those two do. Sources with certificates of
    /// `authority`, a PEM file, are taken.
    pub(crate) fn whole(
        plane: &mut ControlPlane,
        programs: &Programs,
        authority: &Path,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        install(plane, programs, &[&SYNCING[..], &BESIDE[..]].concat())?;
        let (events, receivers) = (free_address()?, free_address()?);
        let mut notification = Command::new(programs.controller("notification-controller")?);
        notification.arg(format!("--events-addr={events}"));
        notification.arg(format!("--receiverAddr={receivers}"));
        start("notification-controller", notification, plane, dir)?;
        let events = format!("http://{events}/");
        sync(plane, programs, dir, Some(authority), &events)?;
        for name in BESIDE.into_iter().filter(|name| *name != "notification-controller") {
            let mut command = Command::new(programs.controller(name)?);
            command.arg(format!("--events-addr={events}"));
            if name == "image-reflector-controller" {
                let tags = dir.join("tags");
                fs::create_dir_all(&tags)?;
                command.arg("--storage-path").arg(tags);
            }
            start(name, command, plane, dir)?;
        }
        Ok(Self { receivers: Some(format!("http://{receivers}")) })
    }
}

fn install(plane: &ControlPlane, programs: &Programs, names: &[&str]) -> anyhow::Result<()> {
    run_quietly(&mut plane.kubectl("create namespace flux-system"))?;
    for name in names {
        let mut apply = plane.kubectl("apply --server-side -f");
        run_quietly(apply.arg(programs.definitions(name)?))?;
    }
    plane.await_definitions()
}

/// Starts what brings Git into the cluster, and tells `events` of it.
fn sync(
    plane: &mut ControlPlane,
    programs: &Programs,
    dir: &Path,
    authority: Option<&Path>,
    events: &str,
) -> anyhow::Result<()> {
    let storage = dir.join("artifacts");
    fs::create_dir_all(&storage)?;
    let served = free_address()?;
    let mut source = Command::new(programs.controller("source-controller")?);
    source.arg("--storage-path").arg(&storage);
    source.arg(format!("--storage-addr={served}")).arg(format!("--storage-adv-addr={served}"));
    source.arg(format!("--events-addr={events}"));
    // Go's programs take this instead of the system's roots.
    source.envs(authority.map(|file| ("SSL_CERT_FILE", file)));
    start("source-controller", source, plane, dir)?;
    let mut kustomize = Command::new(programs.controller("kustomize-controller")?);
    kustomize.arg("--concurrent=20").arg(format!("--events-addr={events}"));
    start("kustomize-controller", kustomize, plane, dir)
}

fn start(
    name: &'static str,
    mut command: Command,
    plane: &mut ControlPlane,
    dir: &Path,
) -> anyhow::Result<()> {
    let health = free_address()?;
    command
        .args(["--watch-all-namespaces", "--log-encoding=json"])
        .arg(format!("--metrics-addr={}", free_address()?))
        .arg(format!("--health-addr={health}"))
        .env("RUNTIME_NAMESPACE", "flux-system")
        .env("KUBECONFIG", &plane.kubeconfig);
    let mut daemon = Daemon::start(name, &mut command, dir)?;
    let url = format!("http://{health}/readyz");
    daemon.await_ready(|| ureq::get(&url).call().is_ok())?;
    plane.adopt(daemon);
    Ok(())
}
