//! `kit-rs gitops up`, which runs beside the story, and what its API says.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::server::{Server, Talk};
use super::stage::Stage;

/// The cluster, which follows the story's repository.
pub(crate) struct Cluster(Server);

/// How a Flux Kustomization is.
pub(crate) struct Kustomization {
    /// Whether all of the revision is applied and healthy.
    pub(crate) ready: bool,
    /// Whether Flux tried and gave up, until the next revision or retry.
    pub(crate) failed: bool,
    /// Reason and message of its condition.
    pub(crate) why: String,
    applied: String,
    /// The revision that was tried last.
    pub(crate) attempted: String,
}

/// A pod.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) pid: Option<u32>,
    pub(crate) ready: bool,
}

impl Cluster {
    /// Starts it by its command line; what happens in it is told.
    pub(crate) fn start(stage: &Stage, line: &str) -> anyhow::Result<Self> {
        Ok(Self(Server::start(stage, "cluster", line, Talk::Told)?))
    }

    /// Ends it as Ctrl-C does; it has to end well.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.0.stop()
    }

    pub(crate) fn api_url(&self) -> &str {
        &self.0.url
    }

    /// Waits until a Kustomization has applied `revision` and all is healthy; fails at once when
    /// Flux gives that revision up.
    pub(crate) fn wait_ready(
        &self,
        name: &str,
        revision: &str,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let mut last = None;
        let done = self.wait_until(patience, |cluster| {
            last = cluster.kustomization(name);
            last.as_ref().is_some_and(|it| {
                it.attempted == revision && (it.failed || it.applied == revision && it.ready)
            })
        });
        match last {
            Some(it) if done && it.ready => Ok(()),
            Some(it) => bail!("kustomization {name} is not ready: {}", it.why),
            None => bail!("there is no kustomization {name}"),
        }
    }

    /// Waits until `holds`; says whether it came to hold in time.
    pub(crate) fn wait_until(
        &self,
        patience: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> bool {
        let deadline = Instant::now() + patience;
        while !holds(self) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// A Kustomization, by namespace and name.
    pub(crate) fn kustomization(&self, name: &str) -> Option<Kustomization> {
        let (namespace, name) = name.split_once('/')?;
        let object = self.get(&format!(
            "apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/{name}"
        ))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = &object["status"];
        let conditions = status["conditions"].as_array();
        let ready = conditions?.iter().find(|condition| condition["type"] == "Ready")?;
        let reason = text(&ready["reason"]);
        let is_present = ready["observedGeneration"] == object["metadata"]["generation"];
        Some(Kustomization {
            ready: ready["status"] == "True" && is_present,
            failed: ready["status"] == "False"
                && !["DependencyNotReady", "HealthCheckCanceled"].contains(&&*reason),
            why: format!("{reason}: {}", text(&ready["message"])),
            applied: text(&status["lastAppliedRevision"]),
            attempted: text(&status["lastAttemptedRevision"]),
        })
    }

    /// The pods of a namespace.
    pub(crate) fn pods(&self, namespace: &str) -> Vec<Pod> {
        let list = self.get(&format!("api/v1/namespaces/{namespace}/pods")).unwrap_or_default();
        let pod = |object: &Value| {
            let status = &object["status"]["containerStatuses"][0];
            let pid = status["containerID"].as_str()?.strip_prefix("process://");
            Some((pid?.parse().ok(), status["ready"] == true))
        };
        let items = list["items"].as_array().into_iter().flatten();
        items
            .map(|object| {
                let (pid, ready) = pod(object).unwrap_or_default();
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                Pod { name, pid, ready }
            })
            .collect()
    }

    /// Where clients reach a port of a Service.
    pub(crate) fn service_url(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> anyhow::Result<String> {
        let object = self.get(&format!("api/v1/namespaces/{namespace}/services/{name}"));
        let object = object.with_context(|| format!("there is no service {namespace}/{name}"))?;
        let address = object["spec"]["clusterIP"].as_str();
        let address = address.with_context(|| format!("{namespace}/{name} has no address"))?;
        Ok(format!("http://{address}:{port}"))
    }

    /// Whether there is an object at a path of the API.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Deletes the object at a path of the API, behind Git's back.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<()> {
        let status = ureq::delete(format!("{}/{path}", self.api_url())).call()?.status();
        ensure!(status == 200, "{path} could not be deleted: {status}");
        Ok(())
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut response = ureq::get(format!("{}/{path}", self.api_url())).call().ok()?;
        serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
    }
}
