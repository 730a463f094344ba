//! The ValidatingAdmissionPolicy of `gitops render --admission digests`, before a real API server:
//! apps that were rendered come in, an image by its tag does not, wherever it stands in a pod.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::delivered::Delivered;
use crate::kube::{ControlPlane, Programs};
use crate::peers::{Peers, run_quietly};
use crate::report::Report;

const PEER: &str = "Kubernetes 1.36.4";
const PATIENCE: Duration = Duration::from_secs(120);
/// The name of the app, and of its namespace, which the policy is for.
const APP: &str = "shop";
const LOOSE: &str = "registry.example/demo/other:1.0.0";
const PINNED: &str = "registry.example/demo/other@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Runs every claim.
pub(super) fn run(
    peers: &Peers,
    delivered: &Delivered<'_>,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let plane = Programs::new()
        .and_then(|programs| ControlPlane::start(&programs, peers, &dir.join("admission")));
    let plane = match plane {
        Ok(plane) => plane,
        Err(error) => {
            let claim = "refuses images by their tags, as our policy says";
            report.skip(PEER, claim, &format!("{error:#}"));
            return Ok(());
        }
    };
    let cluster = Cluster { plane, delivered };
    let claim = "takes our policy, strictly, and an app that it is for runs under it";
    report.claim(PEER, claim, || cluster.render_and_apply());
    for delivery in ["image-volume", "init", "runtime"] {
        let claim = format!("an app that gets its model by {delivery} is admitted");
        report.claim(PEER, &claim, || cluster.admits_delivery(delivery));
    }
    for (what, field) in PLACES {
        let claim =
            format!("an image by its tag is refused in {what}, and by its digest it is not");
        report.claim(PEER, &claim, || {
            let pod = |name: &str| {
                let mut pod = pod_of(PINNED);
                pod["spec"][field] = json!([match field {
                    "volumes" => json!({ "name": "b", "image": { "reference": name } }),
                    _ => container("b", name),
                }]);
                pod
            };
            cluster.refuses(&pod(LOOSE))?;
            cluster.admits(&pod(PINNED))
        });
    }
    report.claim(PEER, "in every kind that makes pods, too", || {
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"] {
            cluster.refuses(&as_workload(kind, LOOSE)).with_context(|| kind.to_owned())?;
            cluster.admits(&as_workload(kind, PINNED)).with_context(|| kind.to_owned())?;
        }
        Ok(())
    });
    report.claim(PEER, "a container that is added to debug a pod is refused by its tag", || {
        cluster.refuses_debugging()
    });
    report.claim(PEER, "what only looks like a digest is refused", || {
        for image in ["demo/other@sha256:0123", "demo/other@sha256", "demo/sha256:1", "demo/other"]
        {
            cluster.refuses(&pod_of(image)).with_context(|| image.to_owned())?;
        }
        Ok(())
    });
    report.claim(PEER, "a Deployment that runs changes as before, but not to a tag", || {
        cluster.changes()
    });
    report.claim(PEER, "other namespaces are let be", || {
        run_quietly(&mut cluster.plane.kubectl("create namespace beside"))?;
        cluster.await_account("beside")?;
        cluster.create("beside", &pod_of(LOOSE)).map(drop)
    });
    Ok(())
}

/// Where an image can stand in a pod, and the field's name.
const PLACES: [(&str, &str); 3] = [
    ("a container", "containers"),
    ("an init container", "initContainers"),
    ("a volume", "volumes"),
];

/// A container that a namespace of ours lets in, where it asks for more than images.
fn container(name: &str, image: &str) -> Value {
    let security =
        json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    json!({ "name": name, "image": image, "securityContext": security })
}

fn pod_of(image: &str) -> Value {
    let security = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "tried" },
        "spec": { "containers": [container("a", image)], "securityContext": security },
    })
}

/// The least object of a kind that makes pods with one image.
fn as_workload(kind: &str, image: &str) -> Value {
    let labels = json!({ "app": "tried" });
    let is_job = kind == "Job";
    let mut pod = json!({ "containers": [{ "name": "a", "image": image }] });
    let mut spec = json!({ "template": { "metadata": { "labels": labels } } });
    if is_job {
        pod["restartPolicy"] = "Never".into();
    } else {
        spec["selector"] = json!({ "matchLabels": labels });
    }
    spec["template"]["spec"] = pod;
    let api = if is_job { "batch/v1" } else { "apps/v1" };
    json!({ "apiVersion": api, "kind": kind, "metadata": { "name": "tried" }, "spec": spec })
}

struct Cluster<'a> {
    plane: ControlPlane,
    delivered: &'a Delivered<'a>,
}

impl Cluster<'_> {
    /// As Flux brings them: the policies first, then the app, whose pods have to be made.
    fn render_and_apply(&self) -> anyhow::Result<()> {
        let release = &self.delivered.release;
        self.delivered.render(&release.image, APP, "--admission digests")?;
        let apply = "apply --server-side --validate=strict --warnings-as-errors";
        let policies = self.delivered.build(APP, &format!("policies/{APP}/dev"))?;
        self.apply(apply, &policies)?;
        let app = self.delivered.build(APP, &format!("apps/{APP}"))?;
        run_quietly(&mut self.plane.kubectl(&format!("create namespace {APP}")))?;
        self.await_account(APP)?;
        self.await_force()?;
        self.apply(&format!("{apply} --force-conflicts"), &app)?;
        let is_there = |list: &Value| list["items"].as_array().is_some_and(|it| !it.is_empty());
        let path = format!("api/v1/namespaces/{APP}/pods");
        let pods = self.plane.api.wait(&path, PATIENCE, is_there)?;
        let found = &pods["items"][0]["spec"]["containers"][0]["image"];
        let is_ours = found.as_str().is_some_and(|it| it.ends_with(&release.digest));
        ensure!(is_ours, "the pod runs {found}, not {}", release.digest);
        Ok(())
    }

    fn admits_delivery(&self, delivery: &str) -> anyhow::Result<()> {
        let (server, kit) = (&self.delivered.server, &self.delivered.release.kit);
        let app = format!("by-{delivery}");
        let flags = format!("--namespace {APP} --delivery {delivery} --modelkit {kit}");
        self.delivered.render(server, &app, &flags)?;
        let built = self.delivered.build(&app, &format!("apps/{app}"))?;
        self.apply("apply --server-side --dry-run=server --validate=strict", &built)
    }

    fn apply(&self, how: &str, file: &Path) -> anyhow::Result<()> {
        run_quietly(self.plane.kubectl(&format!("{how} -f")).arg(file)).map(drop)
    }

    /// Until whoever makes namespaces has given it an account, no pod comes in at all.
    fn await_account(&self, namespace: &str) -> anyhow::Result<()> {
        let path = format!("api/v1/namespaces/{namespace}/serviceaccounts");
        let has_default = |it: &Value| it["items"].as_array().is_some_and(|it| !it.is_empty());
        self.plane.api.wait(&path, PATIENCE, has_default).map(drop)
    }

    /// The API server heeds a policy a moment after it has taken it.
    fn await_force(&self) -> anyhow::Result<()> {
        let pod = pod_of(LOOSE);
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.refuses(&pod) {
            ensure!(Instant::now() < deadline, "it is never in force: {error:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Whether an object would be taken; nothing is kept.
    fn create(&self, namespace: &str, object: &Value) -> anyhow::Result<Value> {
        let kind = object["kind"].as_str().context("an object has a kind")?.to_lowercase();
        let api = object["apiVersion"].as_str().context("an object has a version")?;
        let root = if api == "v1" { "api" } else { "apis" };
        let path = format!("{root}/{api}/namespaces/{namespace}/{kind}s?dryRun=All");
        self.plane.api.create(&path, object)
    }

    fn admits(&self, object: &Value) -> anyhow::Result<()> {
        self.create(APP, object).map(drop)
    }

    fn refuses(&self, object: &Value) -> anyhow::Result<()> {
        is_ours(self.create(APP, object))
    }

    fn refuses_debugging(&self) -> anyhow::Result<()> {
        let mut pod = pod_of(PINNED);
        pod["metadata"]["name"] = "debugged".into();
        self.plane.api.create(&format!("api/v1/namespaces/{APP}/pods"), &pod)?;
        let path = format!("api/v1/namespaces/{APP}/pods/debugged/ephemeralcontainers?dryRun=All");
        let with = |image: &str| {
            let container = container("b", image);
            let patch = json!({ "spec": { "ephemeralContainers": [container] } });
            self.plane.api.patch(&path, &patch)
        };
        is_ours(with(LOOSE))?;
        with(PINNED).map(drop)
    }

    fn changes(&self) -> anyhow::Result<()> {
        let path = format!("apis/apps/v1/namespaces/{APP}/deployments/{APP}");
        self.plane.api.patch(&path, &json!({ "spec": { "replicas": 2 } }))?;
        let deployment = self.plane.api.find(&path)?.context("it runs")?;
        let with = |image: &str| {
            let mut containers = deployment["spec"]["template"]["spec"]["containers"].clone();
            containers[0]["image"] = image.into();
            let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
            self.plane.api.patch(&path, &patch)
        };
        is_ours(with(LOOSE))?;
        with(PINNED).map(drop)
    }
}

/// A refusal with the words of our policy.
fn is_ours(answer: anyhow::Result<Value>) -> anyhow::Result<()> {
    let refused = format!("{:#}", answer.err().context("it is let in")?);
    ensure!(refused.contains("403"), "it is refused otherwise: {refused}");
    ensure!(refused.contains("these images have no digest: "), "in other words: {refused}");
    ensure!(refused.contains(&format!("{APP}-digests")), "by another policy: {refused}");
    Ok(())
}
