//! A repository, and two clusters that follow it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::kube::{Api, ControlPlane, FakeKubelet, Flux, GitServer, Programs};
use crate::peers::{Peers, run_quietly};
use crate::registries::Shop;

/// The longest that anything here takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Both clusters. What is ended first stands first.
pub(super) struct World {
    /// Our own cluster.
    pub(super) ours: Api,
    _up: crate::registries::Registry,
    _kubelet: FakeKubelet,
    /// The real one.
    pub(super) plane: ControlPlane,
    _git: GitServer,
    work: PathBuf,
    /// Of the repository.
    pub(super) url: String,
}

impl World {
    pub(super) fn start(
        programs: &Programs,
        peers: &Peers,
        program: &Path,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(dir.to_owned(), program.to_owned())?;
        let bare = dir.join("git/infra.git");
        fs::create_dir_all(dir.join("git"))?;
        let work = dir.join("work");
        let git = GitServer::start(&dir.join("git"))?;
        let url = git.url("infra.git");
        run_quietly(
            Command::new("git").args(["init", "--quiet", "--bare", "-b", "main"]).arg(&bare),
        )?;
        run_quietly(Command::new("git").args(["clone", "--quiet", &url]).arg(&work))?;
        let into = work.display();
        shop.kit("home", &format!("gitops bootstrap --url {url} --branch main --dir {into}"))?;
        let mut plane = ControlPlane::start(programs, peers, &dir.join("kube"))?;
        Flux::start(&mut plane, programs, &dir.join("kube"))?;
        let kubelet = FakeKubelet::start(plane.api.clone())?;
        let mut apply = plane.kubectl("apply --server-side -f");
        run_quietly(apply.arg(work.join("clusters/dev/flux-system/gotk-sync.yaml")))?;
        let up =
            crate::registries::Registry::up(program, dir, &format!("{url}={}", bare.display()))?;
        let ours = Api::new(&up.address);
        Ok(Self { ours, _up: up, _kubelet: kubelet, plane, _git: git, work, url })
    }

    /// Writes a file of the repository.
    pub(super) fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let file = self.work.join(path);
        fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        Ok(fs::write(file, text)?)
    }

    pub(super) fn remove(&self, path: &str) -> anyhow::Result<()> {
        let place = self.work.join(path);
        let gone = if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
        Ok(gone?)
    }

    /// Commits and pushes all that was written; waits until both roots have applied it. Returns the
    /// revision.
    pub(super) fn push(&self) -> anyhow::Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"])?;
        self.git(&["push", "--quiet", "origin", "HEAD:main"])?;
        let revision = format!("main@sha1:{}", self.git(&["rev-parse", "HEAD"])?.trim());
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

    fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]);
        git.args(["-c", "commit.gpgsign=false"]).args(args).current_dir(&self.work);
        run_quietly(&mut git)
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
