//! `interop --only controllers`: what `gitops render` writes for the controllers beside Flux' two
//! that sync, and for others than Flux, taken by the real ones.

mod argocd;
mod bucket;
mod chart;
mod images;
mod instance;
mod kyverno;
mod notifications;
mod others;
mod prometheus;
mod trusted;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::kube::{ControlPlane, FakeKubelet, Flux, Programs, Repository};
use crate::peers::{Peers, run_quietly};
use crate::registries::{Registry, Shop};
use crate::release::{Release, model, release};
use crate::report::Report;

const PEER: &str = "Flux 2.9 in Kubernetes 1.36.4";

/// The longest that anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(in super::super) fn run(
    peers: &Peers,
    program: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let programs = match Programs::of_all_flux(peers) {
        Ok(programs) => programs,
        Err(error) => {
            report.skip(PEER, "everything that it would judge", &format!("{error:#}"));
            return Ok(());
        }
    };
    let stage = Stage::start(&programs, peers, program, workspace, dir)?;
    let first = stage.release("1.0.0")?;
    chart::run(&stage, &programs, &first, report)?;
    images::run(&stage, &first, report)?;
    notifications::run(&stage, &first, report);
    trusted::run(&stage, &first, report);
    bucket::run(&stage, peers, &first, report)?;
    others::run(&stage, &programs, &first, report);
    prometheus::run(&stage, &programs, &first, report);
    kyverno::run(&stage, &programs, &first, report)?;
    argocd::run(&stage, &programs, peers, &first, report)?;
    drop(stage);
    instance::run(&programs, peers, program, dir, report)
}

/// A cluster with all of Flux, a registry, and the repository that Flux follows. What is ended first
/// stands first.
struct Stage<'a> {
    _kubelet: FakeKubelet,
    flux: Flux,
    plane: ControlPlane,
    repository: Repository,
    registry: Registry,
    shop: Shop,
    program: &'a Path,
    workspace: &'a Path,
}

impl<'a> Stage<'a> {
    fn start(
        programs: &Programs,
        peers: &Peers,
        program: &'a Path,
        workspace: &'a Path,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(dir.join("shop"), program.to_owned())?;
        let repository = Repository::start(dir)?;
        let registry = Registry::ours(program, &dir.join("registry"), "127.0.0.1:0", &[])?;
        let mut plane = ControlPlane::start(programs, peers, &dir.join("kube"))?;
        shop.make_certificates()?;
        let authority = shop.dir.join("ca.pem");
        let flux = Flux::whole(&mut plane, programs, &authority, &dir.join("kube"))?;
        let kubelet = FakeKubelet::start(plane.api.clone())?;
        let stage =
            Self { _kubelet: kubelet, flux, plane, repository, registry, shop, program, workspace };
        let (url, work) = (&stage.repository.url, stage.repository.work.display());
        stage.kit(&format!(
            "gitops bootstrap --url {url} --branch main --dir {work} --no-cluster"
        ))?;
        stage.repository.push()?;
        let sync = stage.repository.work.join("clusters/dev/flux-system/gotk-sync.yaml");
        run_quietly(stage.plane.kubectl("apply --server-side -f").arg(sync))?;
        Ok(stage)
    }

    fn kit(&self, line: &str) -> anyhow::Result<String> {
        self.shop.kit("home", line)
    }

    fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        run_quietly(&mut self.plane.kubectl(line))
    }

    /// A release of a version, which is its tag, too.
    fn release(&self, version: &str) -> anyhow::Result<Release> {
        let folder = self.shop.dir.join("models").join(version);
        model(self.workspace, &folder, version)?;
        release(&self.shop, &self.registry.address, &folder, version, self.program)
    }

    /// Writes an app for the Flux that is here.
    fn render(&self, app: &str, image: &str, flags: &str) -> anyhow::Result<()> {
        let work = self.repository.work.display();
        let line = format!(
            "gitops render {image} --app {app} --dir {work} --flux-version 2.9 --progress-deadline 60 {flags}"
        );
        self.kit(&line).map(drop)
    }

    /// Commits all that was written, and has Flux look.
    fn commit(&self) -> anyhow::Result<String> {
        let revision = self.repository.push()?;
        self.request("source.toolkit.fluxcd.io/v1", "gitrepositories", "flux-system")?;
        Ok(revision)
    }

    /// Asks Flux to look at one of its objects.
    fn request(&self, api: &str, plural: &str, name: &str) -> anyhow::Result<()> {
        let now = format!("{:?}", std::time::Instant::now());
        let patch = serde_json::json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let path = format!("apis/{api}/namespaces/flux-system/{plural}/{name}");
        self.plane.api.patch(&path, &patch).map(drop)
    }

    /// Waits until an object holds what is asked of it; an error tells what it says last.
    fn wait(&self, path: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.plane.api.wait(path, PATIENCE, holds).map_err(|_| {
            let last = self.plane.api.find(path).ok().flatten().unwrap_or_default();
            anyhow::anyhow!("{path} says {}", last["status"])
        })
    }

    /// Waits until the Kustomization of an app has applied a revision, and all of it is healthy.
    fn await_ready(&self, app: &str, revision: &str) -> anyhow::Result<()> {
        let path = super::world::path_of(&format!("{app}-app"));
        let applied = |it: &Value| is_ready(it) && it["status"]["lastAppliedRevision"] == *revision;
        self.wait(&path, applied).map(drop)
    }

    /// The Deployment of an app that is its namespace, too.
    fn deployment(&self, app: &str) -> anyhow::Result<Value> {
        let path = format!("apis/apps/v1/namespaces/{app}/deployments/{app}");
        self.plane.api.find(&path)?.with_context(|| format!("no {path}"))
    }
}

/// Whether an object says that it is ready, as it is now.
fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|it| it["type"] == "Ready" && it["status"] == "True");
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && ready.next().is_some()
}
