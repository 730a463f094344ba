//! What the components `hpa` and `monitoring` write: applied as a tenant, and a ServiceMonitor by
//! which the Prometheus operator has a Prometheus scrape the pods.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::others::define;
use super::{PATIENCE, Stage};
use crate::kube::{Daemon, Programs};
use crate::peers::run_quietly;
use crate::registries::free_address;
use crate::release::Release;
use crate::report::Report;

const PEER: &str = "Prometheus operator 0.85 in Kubernetes 1.36.4";
const APP: &str = "scaled";

/// A Prometheus that takes every ServiceMonitor.
const INSTALLED: &str = "apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}
  - apiVersion: monitoring.coreos.com/v1
    kind: Prometheus
    metadata: {name: all, namespace: monitoring}
    spec: {serviceMonitorSelector: {}, serviceMonitorNamespaceSelector: {}}
";

pub(super) fn run(stage: &Stage<'_>, programs: &Programs, first: &Release, report: &mut Report) {
    let (program, module) = match programs.prometheus_operator() {
        Ok(ready) => ready,
        Err(error) => {
            report.skip(PEER, "--component hpa,monitoring", &format!("{error:#}"));
            return;
        }
    };
    let running = start(stage, &program, &module);
    let claim = "--component hpa,monitoring: Flux applies both as the tenant, and leaves how many pods there are";
    report.claim(super::PEER, claim, || {
        running.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let flags =
            "--layout envs --component hpa,monitoring --max-replicas 5 --spread zones --tenant";
        stage.render(APP, &first.image, flags)?;
        stage.await_ready(APP, &stage.commit()?)?;
        let monitor = "apis/monitoring.coreos.com/v1/namespaces/scaled/servicemonitors/scaled";
        ensure!(stage.plane.api.find(monitor)?.is_some(), "there is no ServiceMonitor");
        // As the autoscaler would: nobody measures pods that do not run.
        stage.kubectl(&format!("scale -n {APP} deployment/{APP} --replicas=3"))?;
        stage.await_ready(APP, &stage.commit()?)?;
        let replicas = &stage.deployment(APP)?["spec"]["replicas"];
        ensure!(*replicas == 3, "Flux made {replicas} pods of 3");
        Ok(())
    });
    report.claim(
        PEER,
        "--component monitoring: its Prometheus scrapes /metrics of what the Service stands for",
        || scraped(stage),
    );
}

/// The operator, and a Prometheus for it to configure.
fn start(stage: &Stage<'_>, program: &Path, module: &Path) -> anyhow::Result<Daemon> {
    let dir = stage.shop.dir.join("prometheus");
    fs::create_dir_all(&dir)?;
    define(stage, &module.join("example/prometheus-operator-crd"))?;
    fs::write(dir.join("installed.yaml"), INSTALLED)?;
    run_quietly(stage.plane.kubectl("apply --server-side -f").arg(dir.join("installed.yaml")))?;
    let address = free_address()?;
    let mut command = Command::new(program);
    command.arg(format!("--web.listen-address={address}")).env("HOME", &dir);
    let mut daemon = Daemon::start(
        "prometheus-operator",
        command.env("KUBECONFIG", &stage.plane.kubeconfig),
        &dir,
    )?;
    let url = format!("http://{address}/healthz");
    daemon.await_ready(|| ureq::get(&url).call().is_ok())?;
    Ok(daemon)
}

/// Waits until the operator has written the job of the app, and looks what is scraped by it.
fn scraped(stage: &Stage<'_>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let name = format!("serviceMonitor/{APP}/{APP}/0");
    let job = loop {
        let written = configuration(stage).unwrap_or_default();
        let jobs = written.split("\n- job_name: ");
        let ours = jobs.into_iter().find(|job| job.starts_with(&name)).map(str::to_owned);
        match ours {
            Some(job) => break job,
            None => ensure!(Instant::now() < deadline, "it has no job {name}:\n{written}"),
        }
        std::thread::sleep(Duration::from_millis(300));
    };
    let service = stage.plane.api.find(&format!("api/v1/namespaces/{APP}/services/{APP}"))?;
    let service = service.context("there is no Service")?;
    let label = service["metadata"]["labels"]["app.kubernetes.io/name"].as_str();
    let port = service["spec"]["ports"][0]["name"].as_str();
    for line in [
        "metrics_path: /metrics".to_owned(),
        // Kept are the endpoints of a Service with this label, at the port of this name.
        format!("regex: ({});true", label.context("it has no label")?),
        format!("regex: {}\n", port.context("its port has no name")?),
    ] {
        ensure!(job.contains(&line), "it does not say {line:?}:\n{job}");
    }
    Ok(())
}

/// What the operator has written for its Prometheus.
fn configuration(stage: &Stage<'_>) -> anyhow::Result<String> {
    let secret = stage.kubectl(
        "get secret -n monitoring prometheus-all -o jsonpath={.data.prometheus\\.yaml\\.gz}",
    )?;
    let file = stage.shop.dir.join("prometheus/written");
    fs::write(&file, secret.trim())?;
    let mut unpack = Command::new("sh");
    unpack.args(["-c", "base64 -d \"$0\" | gunzip"]).arg(&file);
    run_quietly(&mut unpack)
}
