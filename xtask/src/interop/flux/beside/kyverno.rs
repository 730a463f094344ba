//! What `--admission kyverno` writes, taken by Kyverno's admission controller: the API server asks it
//! of every pod, and it asks the registry for signatures.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::json;

use super::others::{define, dry_run};
use super::{PATIENCE, Stage};
use crate::kube::{Daemon, Programs};
use crate::peers::run_quietly;
use crate::registries::free_address;
use crate::release::Release;
use crate::report::Report;

const PEER: &str = "Kyverno 1.19.1 in Kubernetes 1.36.4";
const APP: &str = "vouched";

/// What Kyverno finds in its namespace where it is installed.
const INSTALLED: &str = "apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: kyverno}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: kyverno, namespace: kyverno}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: kyverno-metrics, namespace: kyverno}}
";

pub(super) fn run(
    stage: &Stage<'_>,
    programs: &Programs,
    first: &Release,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (program, module) = match programs.kyverno_controller() {
        Ok(ready) => ready,
        Err(error) => {
            report.skip(PEER, "--admission kyverno", &format!("{error:#}"));
            return Ok(());
        }
    };
    let image = format!("{}@{}", first.image, first.digest);
    let flags = "--admission kyverno --require-key team.pub";
    report.claim(PEER, "--admission kyverno: a strict dry run takes the ClusterPolicy", || {
        define(stage, &module.join("config/crds/kyverno"))?;
        stage.render(APP, &first.image, flags)?;
        // It warns that ClusterPolicy will be followed by another kind.
        let policy = stage.repository.read(&format!("policies/{APP}/dev/signatures.yaml"))?;
        dry_run(stage, "--validate=strict", &policy)
    });
    let running = start(stage, &program, &module);
    let claim = "--admission kyverno: Flux brings the policy, and then the app whose image the key has signed";
    report.claim(PEER, claim, || {
        running.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let revision = stage.commit()?;
        stage.await_ready(APP, &revision)?;
        let runs = &stage.deployment(APP)?["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(*runs == *image, "it runs {runs}");
        let told = refused(stage, &first.image)?;
        ensure!(told.contains("missing digest"), "an image by its tag is refused so: {told}");
        Ok(())
    });
    let unmatched = "no matching signatures found";
    report.claim(PEER, "--admission kyverno: what nobody has signed is no pod", || {
        let told = refused(stage, &unsigned(stage)?)?;
        ensure!(told.contains(unmatched), "it is refused so: {told}");
        Ok(())
    });
    report.claim(PEER, "--admission kyverno: what another key has signed is no pod", || {
        let image = unsigned(stage)?;
        stage.kit(&format!("sign {image} --key other.key --form bundle"))?;
        let told = refused(stage, &image)?;
        ensure!(told.contains(unmatched), "it is refused so: {told}");
        take(stage, "default", &image).context("another namespace is not let be")?;
        // Once the key has signed it, it is let in.
        stage.kit(&format!("sign {image} --key team.key --form bundle"))?;
        take(stage, APP, &image)
    });
    drop(running);
    report.claim(PEER, "--admission kyverno: while it is away, no pod comes", || {
        let told = refused(stage, &image)?;
        ensure!(told.contains("failed calling webhook"), "it is refused so: {told}");
        Ok(())
    });
    // Whoever comes next is not refused for it, whatever was claimed.
    let hooks = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
    let label = "webhook.kyverno.io/managed-by=kyverno";
    stage.kubectl(&format!("delete {hooks} --selector {label}")).map(drop)
}

/// Its admission controller, which tells the API server where it is.
fn start(stage: &Stage<'_>, program: &Path, module: &Path) -> anyhow::Result<Daemon> {
    let dir = stage.shop.dir.join("kyverno");
    fs::create_dir_all(&dir)?;
    for group in ["kyverno", "policies.kyverno.io", "policyreport", "reports"] {
        define(stage, &module.join("config/crds").join(group))?;
    }
    fs::write(dir.join("installed.yaml"), INSTALLED)?;
    run_quietly(stage.plane.kubectl("apply --server-side -f").arg(dir.join("installed.yaml")))?;
    let address = free_address()?;
    let (host, port) = address.rsplit_once(':').context("an address has a port")?;
    let mut command = Command::new(program);
    command.arg("--kubeconfig").arg(&stage.plane.kubeconfig);
    command.arg(format!("--serverIP={address}"));
    command.arg(format!("--webhookServerHost={host}")).arg(format!("--webhookServerPort={port}"));
    command.args(["--caSecretName=kyverno-ca", "--tlsSecretName=kyverno-tls"]);
    command.args(["--disableMetrics=true", "--controllerRuntimeMetricsAddress=0"]);
    command.args(["--admissionReports=false", "--disableLogColor=true"]);
    // What was refused a moment ago may be signed by now.
    command.arg("--imageVerifyCacheEnabled=false");
    for (name, value) in [
        ("KYVERNO_NAMESPACE", "kyverno"),
        ("KYVERNO_SERVICEACCOUNT_NAME", "kyverno"),
        ("KYVERNO_DEPLOYMENT", "kyverno"),
        ("KYVERNO_POD_NAME", "kyverno"),
        ("INIT_CONFIG", "kyverno"),
        ("METRICS_CONFIG", "kyverno-metrics"),
    ] {
        command.env(name, value);
    }
    let mut daemon = Daemon::start("kyverno", command.env("HOME", &dir), &dir)?;
    let hooks = "apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let path = format!("{hooks}/kyverno-policy-validating-webhook-cfg");
    daemon.await_ready(|| stage.plane.api.find(&path).is_ok_and(|it| it.is_some()))?;
    Ok(daemon)
}

/// An image that nobody has signed, by its digest.
fn unsigned(stage: &Stage<'_>) -> anyhow::Result<String> {
    let server = format!("{}/demo/unsigned:1", stage.registry.address);
    stage.kit(&format!("image server -t {server} --runtime {}", stage.program.display()))?;
    Ok(stage.kit(&format!("push {server}"))?.trim().to_owned())
}

/// Asks for a pod of an image, and for no more than whether it would be taken.
fn take(stage: &Stage<'_>, namespace: &str, image: &str) -> anyhow::Result<()> {
    // What the namespace asks of pods besides.
    let confined = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "asked", "namespace": namespace},
        "spec": {
            "securityContext": {
                "runAsUser": 1000, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": "c", "image": image, "securityContext": confined}],
        },
    });
    let file = stage.shop.dir.join("asked.json");
    fs::write(&file, pod.to_string())?;
    stage.kubectl(&format!("create --dry-run=server -f {}", file.display())).map(drop)
}

/// Why a pod of an image is not taken; the API server begins to ask Kyverno a moment after it knows
/// of it.
fn refused(stage: &Stage<'_>, image: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match take(stage, APP, image) {
            Err(error) => return Ok(format!("{error:#}")),
            Ok(()) => ensure!(Instant::now() < deadline, "a pod of {image} is taken"),
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}
