//! `--delivery kserve`, with KServe's own controller and its webhooks.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::PEER;
use super::deliveries::Kit;
use super::world::{PATIENCE, World, container};
use crate::client::ask;
use crate::kube::{Daemon, Programs};
use crate::peers::run_quietly;
use crate::registries::{digest_of, free_address};
use crate::report::Report;

const APP: &str = "kserved";
const SERVICE: &str = "apis/serving.kserve.io/v1beta1/namespaces/kserved/inferenceservices/kserved";
/// What KServe has webhooks of, of all that it has.
const HOOKED: &str = "inferenceservice.serving.kserve.io";

pub(super) fn run(world: &World, server: &str, report: &mut Report) -> anyhow::Result<()> {
    // Whoever built it has said why it is not there.
    let Ok((program, module)) = Programs::new().and_then(|programs| programs.kserve()) else {
        return Ok(());
    };
    let peer = format!("KServe 0.20 without Knative, {PEER}");
    let (first, second) = (Kit::publish(world, "five")?, Kit::publish(world, "six")?);
    let started = start(world, &program, &module);
    let _kserve = match started {
        Ok(daemon) => daemon,
        Err(error) => {
            report.claim(&peer, "its controller runs", || Err(error));
            return Ok(());
        }
    };
    report.claim(
        &peer,
        "--delivery kserve: Ready for KServe and Flux, and its ModelKit answers",
        || {
            for env in ["dev", "prod"] {
                let kit = &first.reference;
                let flags = format!(
                    "--layout envs --env {env} --delivery kserve --modelkit {kit} --plain-http"
                );
                world.render(APP, server, &flags)?;
            }
            world.await_ready(APP, &world.commit()?)?;
            answers(world, &first)
        },
    );
    report.claim(
        &peer,
        "--delivery kserve: a bump is a rollout, and the second ModelKit answers, whatever else has changed the Deployment",
        || {
            // Its generation is not the InferenceService's any more.
            let patch = r#"{"spec":{"revisionHistoryLimit":3}}"#;
            world.kubectl(&format!(
                "patch deployment {APP}-predictor -n {APP} --type merge -p {patch}"
            ))?;
            let (kit, work) = (&second.reference, world.repository.work.display());
            world.kit(&format!(
                "gitops bump {kit} --app {APP} --env dev --dir {work} --plain-http"
            ))?;
            world.await_ready(APP, &world.commit()?)?;
            answers(world, &second)
        },
    );
    report.claim(
        &peer,
        "--delivery kserve: a model that cannot be loaded is given up by Flux, and not promoted; the old pod answers on",
        || {
            let halved = Kit::publish_after(world, "half", |model| {
                let weights = model.join("model.safetensors");
                let whole = fs::read(&weights)?;
                Ok(fs::write(weights, &whole[..whole.len() / 2])?)
            })?;
            // KServe's Deployments have ten minutes, which nobody waits for here.
            let app = format!("clusters/dev/{APP}-app.yaml");
            let text = world.repository.read(&app)?;
            let is_long = |line: &&str| line.starts_with("  timeout: ");
            let long = text.lines().find(is_long).context("Flux has no time")?;
            world.repository.write(&app, &text.replace(long, "  timeout: 1m0s"))?;
            world.await_ready(APP, &world.commit()?)?;
            let (kit, work) = (&halved.reference, world.repository.work.display());
            world.kit(&format!(
                "gitops bump {kit} --app {APP} --env dev --dir {work} --plain-http"
            ))?;
            let why = world.await_given_up(APP, &world.commit()?);
            let told = world.plane.api.find(SERVICE)?.unwrap_or_default();
            let told = &told["status"];
            why.with_context(|| format!("KServe says {told}"))?;
            let pods = world.pods(APP)?;
            let ready = pods.iter().find(|pod| container(pod)["ready"] == true);
            let address = ready.and_then(|pod| pod["status"]["podIP"].as_str());
            let address = address.with_context(|| format!("no pod is ready: {told}"))?;
            let answer = ask(&format!("http://{address}:8000"), "I love it")?;
            ensure!(answer.digest == second.digest, "{} answers", answer.digest);
            let deployment = format!("Deployment/{APP}/{APP}-predictor");
            let refused = against(world);
            ensure!(refused.contains(&deployment), "promote says {refused:?}");
            world.await_healed(APP, &world.revert()?)?;
            answers(world, &second)?;
            // What is left to say is of the ModelKit, not of the cluster.
            let refused = against(world);
            let is_known = refused.contains("no evaluation") && !refused.contains(&deployment);
            ensure!(is_known, "promote says {refused:?}");
            Ok(())
        },
    );
    report.claim(
        &peer,
        "a storage container of ours brings the ModelKit of `kit://…` to an InferenceService of somebody else's",
        || stored(world, server, &first),
    );
    // Its objects have finalizers that only KServe takes away.
    report.claim(&peer, "--delivery kserve: an app that leaves Git is gone", || {
        world.repository.remove("clusters/prod")?;
        world.repository.remove(&format!("clusters/dev/{APP}-app.yaml"))?;
        world.repository.remove(&format!("apps/{APP}"))?;
        world.commit()?;
        let deadline = Instant::now() + PATIENCE;
        while world.plane.api.find(SERVICE)?.is_some() || !world.pods(APP)?.is_empty() {
            ensure!(Instant::now() < deadline, "it is still there");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    });
    Ok(())
}

/// An InferenceService that `gitops render` did not write, and whose model KServe has brought.
fn stored(world: &World, server: &str, kit: &Kit) -> anyhow::Result<()> {
    let work = world.repository.work.display();
    let (name, _) = server.rsplit_once(':').context("it has a tag")?;
    let server =
        format!("{name}@{}", digest_of(&world.kit(&format!("push {server} --plain-http"))?)?);
    world.kit(&format!("gitops storage-container {server} --dir {work} --plain-http"))?;
    let repository = kit.reference.rsplit_once(':').context("it has a tag")?.0;
    let (uri, file) = (format!("kit://{repository}@{}", kit.digest), "clusters/dev/stored.yaml");
    let object = format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: stored}}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: stored
  namespace: stored
  annotations: {{serving.kserve.io/deploymentMode: RawDeployment}}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: {server}
        args: [serve, /mnt/models]
        env: [{{name: STORAGE_URI, value: '{uri}'}}]
        ports: [{{containerPort: 8000}}]
        # Else it asks for a whole processor.
        resources: {{requests: {{cpu: 100m, memory: 200Mi}}, limits: {{cpu: 1, memory: 400Mi}}}}
"
    );
    world.repository.write(file, &object)?;
    world.commit()?;
    let pod = world.await_alone("stored");
    let told = || world.kubectl("get inferenceservice,pods -n stored -o yaml").unwrap_or_default();
    let pod = pod.with_context(told)?;
    let address = pod["status"]["podIP"].as_str().context("the pod has no address")?;
    let answer = ask(&format!("http://{address}:8000"), "I love it")?;
    ensure!(answer.digest == kit.digest, "{} answers", answer.digest);
    let first = &pod["spec"]["initContainers"][0];
    ensure!(first["image"] == *server, "it came by {first}");
    for path in [file, "clusters/dev/kit-storage.yaml"] {
        world.repository.remove(path)?;
    }
    world.commit().map(drop)
}

/// Has the API server know KServe's kinds, starts its controller, and has it asked of each
/// InferenceService and each of its pods.
fn start(world: &World, program: &Path, module: &Path) -> anyhow::Result<Daemon> {
    let apply = |file: &Path| run_quietly(world.plane.kubectl("apply --server-side -f").arg(file));
    world.kubectl("create namespace kserve")?;
    for definitions in ["", "clusterstoragecontainer"] {
        let folder = module.join("config/crd/full").join(definitions);
        for entry in fs::read_dir(&folder)? {
            let file = entry?.path();
            let is_definition = file
                .file_name()
                .is_some_and(|it| it.to_string_lossy().starts_with("serving.kserve.io_"));
            if is_definition {
                apply(&file)?;
            }
        }
    }
    world.plane.await_definitions()?;
    let config = fs::read_to_string(module.join("config/configmap/inferenceservice.yaml"))?;
    // Who reaches what it serves from outside is not asked here.
    let config =
        config.replace("\"disableIngressCreation\": false", "\"disableIngressCreation\": true");
    let dir = world.dir.join("kserve");
    let certificates = dir.join("k8s-webhook-server/serving-certs");
    fs::create_dir_all(&certificates)?;
    fs::write(dir.join("config.yaml"), config)?;
    apply(&dir.join("config.yaml"))?;
    world.shop.make_certificates()?;
    fs::copy(world.shop.dir.join("server.pem"), certificates.join("tls.crt"))?;
    fs::copy(world.shop.dir.join("server.key"), certificates.join("tls.key"))?;
    let (hooks, health) = (free_address()?, free_address()?);
    let port = hooks.rsplit_once(':').context("an address has a port")?.1;
    let mut command = Command::new(program);
    command.arg(format!("--metrics-addr={}", free_address()?));
    command.arg(format!("--health-probe-addr={health}")).arg(format!("--webhook-port={port}"));
    command.env("KUBECONFIG", &world.plane.kubeconfig).env("TMPDIR", &dir);
    command.env("POD_NAMESPACE", "kserve");
    let mut daemon = Daemon::start("kserve", &mut command, &dir)?;
    let url = format!("http://{health}/readyz");
    daemon.await_ready(|| ureq::get(&url).call().is_ok())?;
    let manifests = fs::read_to_string(module.join("config/webhook/manifests.yaml"))?;
    let authority =
        run_quietly(Command::new("base64").arg("--wrap=0").arg(world.shop.dir.join("ca.pem")))?;
    fs::write(dir.join("webhooks.yaml"), webhooks(&manifests, &hooks, &authority))?;
    apply(&dir.join("webhooks.yaml"))?;
    Ok(daemon)
}

/// Its webhooks of InferenceServices, at an address in the place of a Service in the cluster.
fn webhooks(manifests: &str, address: &str, authority: &str) -> String {
    let documents = manifests.split("\n---\n");
    let ours = documents.filter(|text| text.contains(&format!("name: {HOOKED}\n")));
    let line = |line: &str| match line.trim() {
        "service:" | "name: $(webhookServiceName)" | "namespace: $(kserveNamespace)" => {
            String::new()
        }
        it => match it.strip_prefix("path: ") {
            Some(path) => {
                format!("      url: https://{address}{path}\n      caBundle: {authority}\n")
            }
            None => format!("{line}\n"),
        },
    };
    ours.map(|text| text.lines().map(line).collect::<String>() + "---\n").collect()
}

/// What promote has against taking it from dev to prod.
fn against(world: &World) -> String {
    let (work, server) = (world.repository.work.display(), world.plane.api.url());
    let line = format!(
        "gitops promote {APP} --from dev --to prod --server {server} --dir {work} --plain-http"
    );
    world.kit(&line).err().map(|error| format!("{error:#}")).unwrap_or_default()
}

/// Whether the one pod of the InferenceService answers with a ModelKit.
fn answers(world: &World, kit: &Kit) -> anyhow::Result<()> {
    let service = world.plane.api.wait(SERVICE, PATIENCE, |it| {
        let conditions = it["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
    })?;
    let pod = world.await_alone(APP)?;
    ensure!(container(&pod)["restartCount"] == 0, "it was restarted");
    let named = &pod["metadata"]["annotations"]["kitops.ml/modelkit-digest"];
    ensure!(*named == *kit.digest, "the pod is of {named}");
    let owned = &pod["metadata"]["labels"]["serving.kserve.io/inferenceservice"];
    ensure!(owned == APP, "the pod is {owned}'s: {}", service["status"]);
    let address = pod["status"]["podIP"].as_str().context("the pod has no address")?;
    let answer = ask(&format!("http://{address}:8000"), "I love it")?;
    ensure!(answer.digest == kit.digest, "{} answers", answer.digest);
    Ok(())
}
