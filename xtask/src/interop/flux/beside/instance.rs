//! `gitops bootstrap --form flux-instance`: the real Flux Operator makes Flux of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::super::world::path_of;
use super::{PATIENCE, is_ready};
use crate::kube::{ControlPlane, Daemon, FakeKubelet, Flux, Programs, Repository};
use crate::peers::{Peers, run_quietly};
use crate::registries::{Registry, Shop, free_address};
use crate::report::Report;

const PEER: &str = "Flux Operator 0.58.1, Flux 2.9 in Kubernetes 1.36.4";
const FILE: &str = "clusters/dev/flux-system/flux-instance.yaml";
const INSTANCE: &str = "apis/fluxcd.controlplane.io/v1/namespaces/flux-system/fluxinstances/flux";
const SOURCE: &str =
    "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/flux-system";
const DEPLOYMENTS: &str = "apis/apps/v1/namespaces/flux-system/deployments";
/// Where the operator looks for manifests that it does not carry yet.
const THEIRS: &str = "oci://ghcr.io/controlplaneio-fluxcd/flux-operator-manifests:latest";

pub(super) fn run(
    programs: &Programs,
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (operator, module) = match programs.flux_operator() {
        Ok(built) => built,
        Err(error) => {
            report.skip(PEER, "--form flux-instance", &format!("{error:#}"));
            return Ok(());
        }
    };
    let stage = Stage::start(programs, peers, program, &dir.join("instance"), &module)?;
    report.claim(PEER, "--form flux-instance: a strict dry run takes it, with all that is optional", || {
        let full = "--components-extra image-reflector-controller,image-automation-controller --secret-ref token";
        for (folder, flags) in [("usual", ""), ("full", full)] {
            let folder = stage.shop.dir.join(folder);
            stage.bootstrap(&folder, &format!("--branch main {flags}"))?;
            let line = "apply --server-side --dry-run=server --validate=strict --warnings-as-errors -f";
            run_quietly(stage.plane.kubectl(line).arg(folder.join(FILE)))?;
        }
        Ok(())
    });
    let mut running = None;
    report.claim(PEER, "--form flux-instance: Ready, with the controllers that it names", || {
        let work = &stage.repository.work;
        stage.bootstrap(work, "--branch main")?;
        // The manifests of a release, from our registry.
        let mirror =
            format!("oci://{}/mirror/flux-operator-manifests:latest", stage.registry.address);
        let data = module.join("config/data");
        let push = format!("gitops push {} {mirror} --source test --revision main", data.display());
        stage.shop.kit("home", &push)?;
        let text = stage.repository.read(FILE)?;
        ensure!(text.contains(THEIRS), "it names no {THEIRS}:\n{text}");
        stage.repository.write(FILE, &text.replace(THEIRS, &mirror))?;
        stage.repository.push()?;
        running = Some(stage.operate(&operator, &data)?);
        run_quietly(stage.plane.kubectl("apply --server-side -f").arg(work.join(FILE)))?;
        let instance = stage.wait(INSTANCE, is_made)?;
        let revision = instance["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
        ensure!(revision.starts_with("v2.9."), "it made {revision}");
        ensure!(instance["status"]["lastArtifactRevision"].is_string(), "it took no artifact");
        let made = stage.plane.api.list(DEPLOYMENTS)?;
        let mut names: Vec<_> =
            made.iter().filter_map(|it| it["metadata"]["name"].as_str()).collect();
        names.sort_unstable();
        let wanted = [
            "helm-controller",
            "kustomize-controller",
            "notification-controller",
            "source-controller",
        ];
        ensure!(names == wanted, "it made {names:?}");
        Ok(())
    });
    report.claim(PEER, "--form flux-instance: follows what the other form would", || {
        stage.follows("main")?;
        let gotk = stage.shop.dir.join("gotk");
        let url = &stage.repository.url;
        let line = format!(
            "gitops bootstrap --url {url} --branch main --dir {} --no-cluster",
            gotk.display()
        );
        stage.shop.kit("home", &line)?;
        let mut create = stage.plane.kubectl("create --dry-run=client -o json -f");
        let told = run_quietly(create.arg(gotk.join("clusters/dev/flux-system/gotk-sync.yaml")))?;
        let objects = serde_json::Deserializer::from_str(&told).into_iter::<Value>();
        let objects: Vec<Value> = objects.collect::<Result<_, _>>()?;
        let listed = objects.iter().flat_map(|it| match it["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![it.clone()],
        });
        let mut compared = 0;
        for ours in listed {
            let is_source = ours["kind"] == "GitRepository";
            let path = if is_source { SOURCE.to_owned() } else { path_of("flux-system") };
            let theirs = stage.plane.api.find(&path)?.with_context(|| format!("no {path}"))?;
            let fields: &[&str] = match is_source {
                true => &["/metadata/name", "/metadata/namespace", "/spec/url", "/spec/interval"],
                false => &[
                    "/metadata/name",
                    "/metadata/namespace",
                    "/spec/prune",
                    "/spec/sourceRef",
                    "/spec/interval",
                ],
            };
            for field in fields {
                let (ours, theirs) = (ours.pointer(field), theirs.pointer(field));
                ensure!(ours == theirs, "{field}: {theirs:?}, not {ours:?}");
            }
            if !is_source {
                let path = |it: &Value| {
                    it["spec"]["path"].as_str().map(|it| it.trim_start_matches("./").to_owned())
                };
                ensure!(path(&ours) == path(&theirs), "it watches {:?}", path(&theirs));
            }
            compared += 1;
        }
        ensure!(compared == 2, "{compared} objects were compared");
        Ok(())
    });
    report.claim(
        PEER,
        "--form flux-instance: another branch by a second bootstrap, committed, and no byte beside",
        || {
            let before = stage.repository.read(FILE)?;
            stage.bootstrap(&stage.repository.work, "--branch staging")?;
            let expected = before.replace("refs/heads/main", "refs/heads/staging");
            ensure!(
                stage.repository.read(FILE)? == expected && before != expected,
                "it changed more"
            );
            stage.repository.push()?;
            stage.repository.git(&["push", "--quiet", "origin", "HEAD:staging"])?;
            let now =
                json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
            stage.plane.api.patch(SOURCE, &now)?;
            stage.follows("staging")?;
            stage.wait(INSTANCE, is_made).map(drop)
        },
    );
    drop(running);
    Ok(())
}

/// A cluster in which the controllers run as processes, and nothing follows anything yet. What is
/// ended first stands first.
struct Stage {
    _kubelet: FakeKubelet,
    plane: ControlPlane,
    repository: Repository,
    registry: Registry,
    shop: Shop,
}

impl Stage {
    fn start(
        programs: &Programs,
        peers: &Peers,
        program: &Path,
        dir: &Path,
        module: &Path,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(dir.join("shop"), program.to_owned())?;
        let repository = Repository::start(dir)?;
        let registry = Registry::ours(program, &dir.join("registry"), "127.0.0.1:0", &[])?;
        let mut plane = ControlPlane::start(programs, peers, &dir.join("kube"))?;
        Flux::start(&mut plane, programs, &dir.join("kube"))?;
        let definitions = module.join("config/crd/bases");
        run_quietly(plane.kubectl("apply --server-side -f").arg(definitions))?;
        plane.await_definitions()?;
        let kubelet = FakeKubelet::start(plane.api.clone())?;
        Ok(Self { _kubelet: kubelet, plane, repository, registry, shop })
    }

    /// Ours, of a version that the operator knows.
    fn bootstrap(&self, folder: &Path, flags: &str) -> anyhow::Result<()> {
        let (url, folder) = (&self.repository.url, folder.display());
        let line = format!(
            "gitops bootstrap --form flux-instance --flux-version 2.9 --url {url} --dir {folder} --no-cluster {flags}"
        );
        self.shop.kit("home", &line).map(drop)
    }

    /// The operator as a process, with the manifests that its image has.
    fn operate(&self, program: &Path, data: &Path) -> anyhow::Result<Daemon> {
        let health = free_address()?;
        let mut command = Command::new(program);
        command.args(["--enable-leader-election=false", "--web-server-port=0"]);
        command.arg(format!("--metrics-addr={}", free_address()?));
        command.arg(format!("--health-addr={health}")).arg("--storage-path").arg(data);
        command.env("RUNTIME_NAMESPACE", "flux-system").env("KUBECONFIG", &self.plane.kubeconfig);
        // It does not run without.
        command.env("GODEBUG", "fips140=on").env("TMPDIR", &self.shop.dir);
        let mut daemon = Daemon::start("flux-operator", &mut command, &self.shop.dir)?;
        let url = format!("http://{health}/readyz");
        daemon.await_ready(|| ureq::get(&url).call().is_ok())?;
        Ok(daemon)
    }

    fn wait(&self, path: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.plane.api.wait(path, PATIENCE, holds).map_err(|_| {
            let last = self.plane.api.find(path).ok().flatten().unwrap_or_default();
            anyhow::anyhow!("{path} says {}", last["status"])
        })
    }

    /// Waits until the newest commit of a branch is applied.
    fn follows(&self, branch: &str) -> anyhow::Result<()> {
        let commit = self.repository.git(&["rev-parse", "HEAD"])?;
        let revision = format!("refs/heads/{branch}@sha1:{}", commit.trim());
        self.wait(SOURCE, |it| {
            is_ready(it)
                && it["spec"]["url"] == *self.repository.url
                && it["spec"]["ref"]["name"] == format!("refs/heads/{branch}")
                && it["status"]["artifact"]["revision"] == *revision
        })?;
        self.wait(&path_of("flux-system"), |it| {
            is_ready(it) && it["status"]["lastAppliedRevision"] == *revision
        })
        .map(drop)
    }
}

/// As [`is_ready`], of a status that tells the generation in its conditions only.
fn is_made(instance: &Value) -> bool {
    let conditions = instance["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|it| it["type"] == "Ready" && it["status"] == "True");
    ready.any(|it| it["observedGeneration"] == instance["metadata"]["generation"])
}
