//! Flux' source- and kustomize-controller as processes, with their definitions in the cluster.

use std::path::Path;
use std::process::Command;

use super::plane::Daemon;
use super::{ControlPlane, Programs};
use crate::peers::run_quietly;
use crate::registries::free_address;

/// Flux in a control plane.
pub(crate) struct Flux;

impl Flux {
    /// Installs the definitions and starts the controllers, which end with the control plane.
    pub(crate) fn start(
        plane: &mut ControlPlane,
        programs: &Programs,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        run_quietly(&mut plane.kubectl("create namespace flux-system"))?;
        for name in ["source-controller", "kustomize-controller"] {
            let mut apply = plane.kubectl("apply --server-side -f");
            run_quietly(apply.arg(programs.definitions(name)?))?;
        }
        run_quietly(&mut plane.kubectl(
            "wait --for=condition=Established --timeout=60s crd/gitrepositories.source.toolkit.fluxcd.io \
             crd/ocirepositories.source.toolkit.fluxcd.io crd/kustomizations.kustomize.toolkit.fluxcd.io",
        ))?;
        let storage = dir.join("artifacts");
        fs_err::create_dir_all(&storage)?;
        let served = free_address()?;
        let mut source = Command::new(programs.controller("source-controller")?);
        source.arg("--storage-path").arg(&storage);
        source.arg(format!("--storage-addr={served}")).arg(format!("--storage-adv-addr={served}"));
        start("source-controller", source, plane, dir)?;
        let mut kustomize = Command::new(programs.controller("kustomize-controller")?);
        kustomize.arg("--concurrent=20");
        start("kustomize-controller", kustomize, plane, dir)?;
        Ok(Self)
    }
}

fn start(
    name: &'static str,
    mut command: Command,
    plane: &mut ControlPlane,
    dir: &Path,
) -> anyhow::Result<()> {
    let health = free_address()?;
    command
        .args(["--watch-all-namespaces", "--log-encoding=json", "--events-addr="])
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
