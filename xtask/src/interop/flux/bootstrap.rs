//! The real `flux bootstrap git` beside ours, each first and each second.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::PEER;
use super::world::{PATIENCE, path_of};
use crate::kube::{ControlPlane, FakeKubelet, Flux, Programs, Repository};
use crate::peers::{Peers, run_quietly};
use crate::registries::Shop;
use crate::report::Report;

const FOLDER: &str = "clusters/dev/flux-system";

/// A cluster of its own, in which Flux is not installed yet but its controllers run.
struct Stage {
    flux: PathBuf,
    shop: Shop,
    _kubelet: FakeKubelet,
    plane: ControlPlane,
    dir: PathBuf,
}

pub(super) fn run(
    programs: &Programs,
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let flux = match programs.flux() {
        Ok(flux) => flux,
        Err(error) => {
            report.skip(PEER, "`flux bootstrap git` beside ours", &format!("{error:#}"));
            return Ok(());
        }
    };
    let dir = dir.join("bootstrap");
    let mut plane = ControlPlane::start(programs, peers, &dir.join("kube"))?;
    Flux::start(&mut plane, programs, &dir.join("kube"))?;
    let kubelet = FakeKubelet::start(plane.api.clone())?;
    let shop = Shop::open(dir.join("shop"), program.to_owned())?;
    let stage = Stage { flux, shop, _kubelet: kubelet, plane, dir: dir.clone() };
    let repository = Repository::start(&dir.join("first"))?;
    report.claim(PEER, "`flux bootstrap git`, and ours of its components: the same files", || {
        stage.bootstrap(&repository)?;
        stage.same_files(&repository)
    });
    report.claim(PEER, "ours where Flux is already changes nothing", || {
        stage.ours(&repository.work, &repository.url, "--branch main", true)?;
        let changed = repository.git(&["status", "--porcelain"])?;
        ensure!(changed.is_empty(), "it changed {changed}");
        Ok(())
    });
    report.claim(PEER, "ours of another repository is refused: Flux would collect itself", || {
        let other = stage.dir.join("other");
        fs::create_dir_all(&other)?;
        let url = "https://git.example.com/demo/other.git";
        let refused = stage.ours(&other, url, "--branch main", true).err();
        let refused = refused.map(|it| format!("{it:#}")).unwrap_or_default();
        ensure!(refused.contains("nothing was written"), "it said {refused:?}");
        ensure!(fs::read_dir(&other)?.next().is_none(), "it wrote something");
        Ok(())
    });
    let repository = Repository::start(&dir.join("second"))?;
    report.claim(PEER, "`flux bootstrap git` after ours, without and with what Flux is", || {
        stage.ours(&repository.work, &repository.url, "--branch main", false)?;
        repository.push()?;
        stage.bootstrap(&repository)?;
        stage.same_files(&repository)?;
        stage.ours(&repository.work, &repository.url, "--branch main", true)?;
        let changed = repository.git(&["status", "--porcelain"])?;
        ensure!(changed.is_empty(), "it changed {changed}");
        Ok(())
    });
    Ok(())
}

impl Stage {
    /// `flux bootstrap git`; then fetches what it pushed.
    fn bootstrap(&self, repository: &Repository) -> anyhow::Result<()> {
        let mut flux = Command::new(&self.flux);
        flux.args(["bootstrap", "git", "--branch=main", "--path=clusters/dev", "--timeout=3m"]);
        flux.args(["--components=source-controller,kustomize-controller", "--silent"]);
        flux.args(["--allow-insecure-http=true", "--token-auth", "--username=git", "--password=x"]);
        flux.arg(format!("--url={}", repository.url)).arg("--kubeconfig");
        flux.arg(&self.plane.kubeconfig).env("HOME", &self.dir);
        run_quietly(&mut flux)?;
        repository.git(&["fetch", "--quiet", "origin"])?;
        repository.git(&["reset", "--quiet", "--hard", "origin/main"])?;
        let revision = format!("main@sha1:{}", repository.git(&["rev-parse", "HEAD"])?.trim());
        let applied = |it: &serde_json::Value| it["status"]["lastAppliedRevision"] == *revision;
        self.plane.api.wait(&path_of("flux-system"), PATIENCE, applied).map(drop)
    }

    /// `kit-rs gitops bootstrap`, with a look at the cluster where `looks`.
    fn ours(&self, dir: &Path, url: &str, flags: &str, looks: bool) -> anyhow::Result<String> {
        let cluster = match looks {
            true => format!("--server {}", self.plane.api.url()),
            false => "--no-cluster".to_owned(),
        };
        let dir = dir.display();
        self.shop
            .kit("home", &format!("gitops bootstrap --url {url} --dir {dir} {flags} {cluster}"))
    }

    /// Ours, in an empty folder, writes what theirs has committed, but for the line that says who
    /// wrote it.
    fn same_files(&self, repository: &Repository) -> anyhow::Result<()> {
        let theirs = repository.work.join(FOLDER);
        let fresh = self.dir.join("fresh");
        if fresh.exists() {
            fs::remove_dir_all(&fresh)?;
        }
        let components = theirs.join("gotk-components.yaml");
        let flags = format!(
            "--branch main --secret-ref flux-system --components-file {}",
            components.display()
        );
        self.ours(&fresh, &repository.url, &flags, false)?;
        for entry in fs::read_dir(&theirs)? {
            let name = entry?.file_name();
            let (theirs, ours) = (theirs.join(&name), fresh.join(FOLDER).join(&name));
            let read = |path: &Path| -> anyhow::Result<Vec<String>> {
                let text = fs::read_to_string(path)?;
                let lines = text.lines().filter(|line| !line.starts_with('#') && *line != "---");
                Ok(lines.map(str::to_owned).collect())
            };
            let (theirs, ours) = (read(&theirs)?, read(&ours).context("ours did not write it")?);
            let other = theirs.iter().zip(&ours).find(|(a, b)| a != b);
            ensure!(theirs == ours, "{}: {other:?}", name.display());
        }
        Ok(())
    }
}
