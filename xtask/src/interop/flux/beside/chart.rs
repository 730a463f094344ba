//! `--chart`: a HelmRelease of a chart that `helm create` made, in our registry and behind a server
//! of files.

use std::process::Command;

use anyhow::ensure;
use serde_json::Value;

use super::{PEER, Stage, is_ready};
use crate::kube::{Daemon, Programs};
use crate::peers::run_quietly;
use crate::registries::free_address;
use crate::release::Release;
use crate::report::Report;

const APP: &str = "charted";
const INSTANCE: &str = "apis/helm.toolkit.fluxcd.io/v2/namespaces/charted/helmreleases/charted";

pub(super) fn run(
    stage: &Stage<'_>,
    programs: &Programs,
    first: &Release,
    report: &mut Report,
) -> anyhow::Result<()> {
    let peer = format!("helm-controller 1.6.4, {PEER}");
    let second = stage.release("chart-2")?;
    let (host, dir) = (&stage.registry.address, &stage.shop.dir);
    let helm = programs.helm()?;
    let helm = |line: &str| {
        let mut command = Command::new(&helm);
        command.args(line.split(' ')).current_dir(dir).env("HOME", dir);
        run_quietly(&mut command)
    };
    report.claim(&peer, "`helm push` takes a chart of `helm create` into our registry", || {
        helm("create model")?;
        helm("package model --destination charts")?;
        helm(&format!("push charts/model-0.1.0.tgz oci://{host}/charts --plain-http")).map(drop)
    });
    report.claim(&peer, "--chart: the HelmRelease is Ready, and so is the app", || {
        let chart = format!("--chart oci://{host}/charts/model:0.1.0");
        stage.render(APP, &first.image, &chart)?;
        let revision = stage.commit()?;
        stage.wait(INSTANCE, is_ready)?;
        stage.await_ready(APP, &revision)
    });
    report.claim(&peer, "--chart: what follows from the model reaches the Deployment", || {
        let deployment = stage.deployment(APP)?;
        let template = &deployment["spec"]["template"];
        let container = &template["spec"]["containers"][0];
        let runs = |release: &Release| format!("{}@{}", release.image, release.digest);
        let annotations = &template["metadata"]["annotations"];
        for (what, is, wanted) in [
            ("image", &container["image"], Value::from(runs(first))),
            ("ModelKit", &annotations["kitops.ml/modelkit-digest"], first.modelkit.clone().into()),
            ("replicas", &deployment["spec"]["replicas"], 1.into()),
            ("user", &template["spec"]["securityContext"]["runAsUser"], 65532.into()),
            ("root", &container["securityContext"]["readOnlyRootFilesystem"], true.into()),
            ("port", &container["ports"][0]["containerPort"], 8000.into()),
            ("readiness", &container["readinessProbe"]["httpGet"]["path"], "/readyz".into()),
            ("liveness", &container["livenessProbe"]["httpGet"]["path"], "/livez".into()),
        ] {
            ensure!(*is == wanted, "{what}: {is}, not {wanted}");
        }
        let memory = &container["resources"]["limits"]["memory"];
        ensure!(memory.as_str().is_some_and(|it| it.ends_with("Mi")), "the memory is {memory}");
        Ok(())
    });
    report.claim(&peer, "--chart: a bump is an upgrade of the same release", || {
        let work = stage.repository.work.display();
        stage.kit(&format!("gitops bump {} --app {APP} --dir {work}", second.image))?;
        let revision = stage.commit()?;
        stage.await_ready(APP, &revision)?;
        let instance = stage.wait(INSTANCE, |it| {
            is_ready(it) && it["status"]["history"].as_array().is_some_and(|all| all.len() > 1)
        })?;
        ensure!(instance["status"]["history"][0]["version"] == 2, "{}", instance["status"]);
        let deployment = stage.deployment(APP)?;
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(image.as_str().is_some_and(|it| it.ends_with(&second.digest)), "it runs {image}");
        Ok(())
    });
    report.claim(&peer, "--chart https://…: a HelmRepository, and the app is Ready", || {
        let address = free_address()?;
        helm(&format!("repo index charts --url https://{address}"))?;
        let _server = serve(stage, &address)?;
        let app = "indexed";
        stage.render(app, &first.image, &format!("--chart https://{address}/model:0.1.0"))?;
        let revision = stage.commit()?;
        stage.await_ready(app, &revision)?;
        let deployment = stage.deployment(app)?;
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(image.as_str().is_some_and(|it| it.ends_with(&first.digest)), "it runs {image}");
        Ok(())
    });
    Ok(())
}

/// Serves the folder with the chart and its index over TLS.
fn serve(stage: &Stage<'_>, address: &str) -> anyhow::Result<Daemon> {
    let dir = &stage.shop.dir;
    let mut command = Command::new("openssl");
    command.args(["s_server", "-WWW", "-quiet", "-accept", address]);
    command.arg("-cert").arg(dir.join("server.pem")).arg("-key").arg(dir.join("server.key"));
    let mut daemon = Daemon::start("charts", command.current_dir(dir.join("charts")), dir)?;
    daemon.await_ready(|| std::net::TcpStream::connect(address).is_ok())?;
    Ok(daemon)
}
