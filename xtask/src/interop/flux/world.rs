//! A repository, and two clusters that follow it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use crate::kube::{Api, ControlPlane, FakeKubelet, Flux, Programs, Repository};
use crate::peers::{Peers, run_quietly};
use crate::registries::{Registry, Shop};

/// The longest that anything here takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Both clusters. What is ended first stands first.
pub(super) struct World {
    /// Our own cluster.
    pub(super) ours: Api,
    _up: Registry,
    _kubelet: FakeKubelet,
    /// The real one.
    pub(super) plane: ControlPlane,
    pub(super) repository: Repository,
    /// Runs `kit-rs`.
    pub(super) shop: Shop,
}

impl World {
    pub(super) fn start(
        programs: &Programs,
        peers: &Peers,
        program: &Path,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(dir.to_owned(), program.to_owned())?;
        let repository = Repository::start(dir)?;
        let (url, work) = (&repository.url, &repository.work);
        let into = work.display();
        shop.kit(
            "home",
            &format!("gitops bootstrap --url {url} --branch main --dir {into} --no-cluster"),
        )?;
        let mut plane = ControlPlane::start(programs, peers, &dir.join("kube"))?;
        Flux::start(&mut plane, programs, &dir.join("kube"))?;
        let kubelet = FakeKubelet::start(plane.api.clone())?;
        let mut apply = plane.kubectl("apply --server-side -f");
        run_quietly(apply.arg(work.join("clusters/dev/flux-system/gotk-sync.yaml")))?;
        let source = format!("{url}={}", repository.bare.display());
        let up = Registry::up(program, dir, &source)?;
        let ours = Api::new(&up.address);
        Ok(Self { ours, _up: up, _kubelet: kubelet, plane, repository, shop })
    }

    /// Commits and pushes all that was written; waits until both roots have applied it. Returns the
    /// revision.
    pub(super) fn push(&self) -> anyhow::Result<String> {
        let revision = self.repository.push()?;
        self.request("source.toolkit.fluxcd.io/v1", "gitrepositories", "flux-system")?;
        for api in self.both() {
            api.wait(&path_of("flux-system"), PATIENCE, |root| {
                root["status"]["lastAppliedRevision"] == revision.as_str()
            })?;
        }
        Ok(revision)
    }

    /// Asks the real Flux to look at once; ours looks by itself.
    pub(super) fn request(&self, api: &str, plural: &str, name: &str) -> anyhow::Result<()> {
        let now = format!("{:?}", Instant::now());
        let patch = serde_json::json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let path = format!("apis/{api}/namespaces/flux-system/{plural}/{name}");
        self.plane.api.patch(&path, &patch).map(drop)
    }

    /// The real one, and ours.
    pub(super) fn both(&self) -> [&Api; 2] {
        [&self.plane.api, &self.ours]
    }

    /// Asks both whether there is something at a path.
    pub(super) fn there(&self, path: &str) -> anyhow::Result<[bool; 2]> {
        let [real, ours] = self.both();
        Ok([real.find(path)?.is_some(), ours.find(path)?.is_some()])
    }

    /// Waits until both have, or have not, what is at a path.
    pub(super) fn await_there(&self, path: &str, wanted: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.there(path)? != [wanted; 2] {
            let there = self.there(path)?;
            ensure!(
                Instant::now() < deadline,
                "{path}: there (real, ours): {there:?}, not {wanted}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Waits until one of them has, or has not, what is at a path.
    pub(super) fn await_in(&self, api: &Api, path: &str, wanted: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while api.find(path)?.is_some() != wanted {
            ensure!(Instant::now() < deadline, "{path}: there is not {wanted}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Waits until both say the same of what is at a path, as `read` understands it; fails with
    /// what each says.
    pub(super) fn agree(
        &self,
        path: &str,
        deadline: Instant,
        read: impl Fn(&Value) -> Option<String>,
    ) -> anyhow::Result<()> {
        loop {
            let [real, ours] = self.both().map(|api| {
                let found = api.find(path).ok().flatten();
                found.as_ref().and_then(&read)
            });
            if real.is_some() && real == ours {
                return Ok(());
            }
            if Instant::now() > deadline {
                let told =
                    |said: Option<String>| said.unwrap_or_else(|| "nothing final".to_owned());
                let (real, ours) = (told(real), told(ours));
                ensure!(real == ours, "real:\n{real}\nours:\n{ours}");
                anyhow::bail!("neither says anything final");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// Where a Kustomization is in the API.
pub(super) fn path_of(name: &str) -> String {
    format!("apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/{name}")
}
