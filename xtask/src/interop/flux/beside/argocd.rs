//! The Application that `--argocd` writes, synced by Argo CD itself.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::Stage;
use crate::conformance::kustomize::KUSTOMIZE;
use crate::kube::{Daemon, Programs};
use crate::peers::{Peers, run_quietly, search_path_with};
use crate::registries::free_address;
use crate::release::Release;
use crate::report::Report;

/// Built with the packages of its engine, which the modules of newer ones do not have.
const PEER: &str = "Argo CD 3.1.16 in Kubernetes 1.36.4";
const APP: &str = "synced";
const APPLICATION: &str = "apis/argoproj.io/v1alpha1/namespaces/argocd/applications/synced-dev";

/// What Argo CD finds in its namespace where it is installed.
const INSTALLED: &str = "apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: argocd}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: argocd-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: argocd-tls-certs-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: argocd-ssh-known-hosts-cm, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}}
  - {apiVersion: v1, kind: Secret, metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}, stringData: {server.secretkey: unused}}
  - apiVersion: argoproj.io/v1alpha1
    kind: AppProject
    metadata: {name: default, namespace: argocd}
    spec: {sourceRepos: ['*'], destinations: [{namespace: '*', server: '*'}], clusterResourceWhitelist: [{group: '*', kind: '*'}]}
";

pub(super) fn run(
    stage: &Stage<'_>,
    programs: &Programs,
    peers: &Peers,
    first: &Release,
    report: &mut Report,
) -> anyhow::Result<()> {
    let ready = || {
        let redis = peers.debian("redis-server", "redis-server")?;
        let kustomize = peers.go("sigs.k8s.io/kustomize/kustomize/v5", KUSTOMIZE, "kustomize")?;
        anyhow::Ok((redis, kustomize, programs.argocd()?))
    };
    let (redis, kustomize, (program, module)) = match ready() {
        Ok(ready) => ready,
        Err(error) => {
            report.skip(PEER, "everything that it would judge", &format!("{error:#}"));
            return Ok(());
        }
    };
    let second = stage.release("argocd-2")?;
    let running = start(stage, &redis, &kustomize, &program, &module);
    report.claim(PEER, "--argocd: the app is Synced and Healthy, at the commit", || {
        running.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let url = &stage.repository.url;
        stage.render(APP, &first.image, &format!("--argocd {url}"))?;
        // One of the two applies it, not both.
        stage.repository.remove(&format!("clusters/dev/{APP}-app.yaml"))?;
        let revision = stage.repository.push()?;
        let file = stage.repository.work.join(format!("argocd/dev/{APP}.yaml"));
        run_quietly(stage.plane.kubectl("apply --server-side -f").arg(file))?;
        synced(stage, &revision, first)
    });
    report.claim(PEER, "--argocd: a bump by commit is synced", || {
        let work = stage.repository.work.display();
        stage.kit(&format!("gitops bump {} --app {APP} --dir {work}", second.image))?;
        let revision = stage.repository.push()?;
        let refresh = serde_json::json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
        stage.plane.api.patch(APPLICATION, &refresh)?;
        synced(stage, &revision, &second)
    });
    report.claim(PEER, "--argocd: what somebody scales, it brings back", || {
        stage.kubectl(&format!("scale -n {APP} deployment/{APP} --replicas=3"))?;
        let path = format!("apis/apps/v1/namespaces/{APP}/deployments/{APP}");
        stage.wait(&path, |it| it["spec"]["replicas"] == 1).map(drop)
    });
    Ok(())
}

/// Waits until Argo CD says that a revision is there and healthy, and looks whether it is.
fn synced(stage: &Stage<'_>, revision: &str, release: &Release) -> anyhow::Result<()> {
    let commit = revision.rsplit_once(':').context("a revision has a commit")?.1;
    stage.wait(APPLICATION, |it| {
        let status: &Value = &it["status"];
        status["sync"]["status"] == "Synced"
            && status["sync"]["revision"] == commit
            && status["health"]["status"] == "Healthy"
    })?;
    let deployment = stage.deployment(APP)?;
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    ensure!(image.as_str().is_some_and(|it| it.ends_with(&release.digest)), "it runs {image}");
    Ok(())
}

/// Its programs, the first of which is ended first.
struct ArgoCd {
    _controller: Daemon,
    _repositories: Daemon,
    _redis: Daemon,
}

fn start(
    stage: &Stage<'_>,
    redis: &Path,
    kustomize: &Path,
    program: &Path,
    module: &Path,
) -> anyhow::Result<ArgoCd> {
    let dir = stage.shop.dir.join("argocd");
    let programs = dir.join("bin");
    fs::create_dir_all(&programs)?;
    std::os::unix::fs::symlink(kustomize, programs.join("kustomize"))?;
    let mut define = stage.plane.kubectl("apply --server-side --force-conflicts -k");
    run_quietly(define.arg(module.join("manifests/crds")))?;
    stage.plane.await_definitions()?;
    fs::write(dir.join("installed.yaml"), INSTALLED)?;
    run_quietly(stage.plane.kubectl("apply --server-side -f").arg(dir.join("installed.yaml")))?;
    let (cache, repositories) = (free_address()?, free_address()?);
    let mut command = Command::new(redis);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--port", port(&cache)?]).current_dir(&dir);
    let redis = listening("redis", &mut command, &dir, &cache)?;
    let mut command = Command::new(program);
    command.args(["--disable-tls", "--address=127.0.0.1", "--metrics-address=127.0.0.1"]);
    command.arg(format!("--port={}", port(&repositories)?));
    command.arg(format!("--metrics-port={}", port(&free_address()?)?));
    command.arg(format!("--redis={cache}"));
    command.env("ARGOCD_BINARY_NAME", "argocd-repo-server").env("ARGOCD_GPG_ENABLED", "false");
    command.env("PATH", search_path_with(&programs)?).env("HOME", &dir).env("TMPDIR", &dir);
    for folder in ["ARGOCD_TLS_DATA_PATH", "ARGOCD_SSH_DATA_PATH", "ARGOCD_PLUGINSOCKFILEPATH"] {
        command.env(folder, &dir);
    }
    let serving = listening("argocd-repo-server", &mut command, &dir, &repositories)?;
    let metrics = free_address()?;
    let mut command = Command::new(program);
    command.arg(format!("--repo-server={repositories}")).arg("--repo-server-plaintext");
    command.arg(format!("--redis={cache}")).arg("--kubeconfig").arg(&stage.plane.kubeconfig);
    command.args(["--namespace", "argocd", "--self-heal-timeout-seconds=1"]);
    command.arg(format!("--metrics-port={}", port(&metrics)?));
    command.env("ARGOCD_BINARY_NAME", "argocd-application-controller").env("HOME", &dir);
    // The cluster that it runs in is that of its kubeconfig.
    command.env("ARGOCD_FAKE_IN_CLUSTER", "true").env("KUBECONFIG", &stage.plane.kubeconfig);
    command.env("ARGOCD_TLS_DATA_PATH", &dir).env("ARGOCD_SSH_DATA_PATH", &dir);
    let controller = listening("argocd-application-controller", &mut command, &dir, &metrics)?;
    Ok(ArgoCd { _controller: controller, _repositories: serving, _redis: redis })
}

fn listening(
    name: &'static str,
    command: &mut Command,
    dir: &Path,
    address: &str,
) -> anyhow::Result<Daemon> {
    let mut daemon = Daemon::start(name, command, dir)?;
    daemon.await_ready(|| TcpStream::connect(address).is_ok())?;
    Ok(daemon)
}

fn port(address: &str) -> anyhow::Result<&str> {
    Ok(address.rsplit_once(':').context("an address has a port")?.1)
}
