//! The cluster beside the story, and what its API says: `kit-rs gitops up`, or a real one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::server::{Server, Talk};
use super::stage::{Stage, say};

/// How long our own cluster may take for a rollout before the story calls it lost, and a real one,
/// which pulls, and collects what it deletes.
const PATIENCE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(240)];

/// The cluster, which follows the story's repository.
pub(crate) enum Cluster {
    /// `kit-rs gitops up`.
    Ours(Server),
    /// A real one, by way of `kubectl proxy`.
    Kube {
        /// Speaks plain HTTP on loopback.
        proxy: Server,
        /// What begins the sync, to be taken back at the end.
        sync: PathBuf,
    },
}

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
    /// Whether Services send it connections: one that goes may be ready, and gets none.
    pub(crate) ready: bool,
}

impl Cluster {
    /// Starts it by its command line; what happens in it is told.
    pub(crate) fn start(stage: &Stage, line: &str) -> anyhow::Result<Self> {
        Ok(Self::Ours(Server::start(stage, "cluster", line, Talk::Told)?))
    }

    /// The one that kubectl knows, which is told to follow the repository.
    pub(crate) fn of_kubectl(stage: &Stage) -> anyhow::Result<Self> {
        let sync = stage.cwd.join("clusters/dev/flux-system/gotk-sync.yaml");
        stage.run(&format!("kubectl apply --server-side -f {}", sync.display()))?;
        let line = "kubectl proxy --port=0 --reject-paths=^$";
        let proxy = Server::start(stage, "proxy", line, Talk::Kept)?;
        Ok(Self::Kube { proxy, sync })
    }

    /// Ends it as Ctrl-C does, well; from a real one all goes that the story brought.
    pub(crate) fn stop(self, stage: &Stage) -> anyhow::Result<()> {
        match &self {
            Self::Ours(_) => {}
            Self::Kube { sync, .. } => {
                stage.run(&format!("kubectl delete --wait=false -f {}", sync.display()))?;
                let gone = |cluster: &Self| {
                    let (group, name) = ("kustomize.toolkit.fluxcd.io", "flux-system");
                    let sync = format!("apis/{group}/v1/namespaces/{name}/kustomizations/{name}");
                    !cluster.has(&sync) && !cluster.has("api/v1/namespaces/distilbert")
                };
                ensure!(self.wait_until(self.patience(), gone), "the story's namespace stays");
                say("  Flux has taken back what the story brought");
            }
        }
        match self {
            Self::Ours(server) => server.stop(),
            Self::Kube { .. } => Ok(()),
        }
    }

    pub(crate) fn api_url(&self) -> &str {
        match self {
            Self::Ours(server) | Self::Kube { proxy: server, .. } => &server.url,
        }
    }

    /// How long anything may take.
    pub(crate) fn patience(&self) -> Duration {
        PATIENCE[usize::from(matches!(self, Self::Kube { .. }))]
    }

    /// A real Flux may look at a Deployment before it has left its former failure behind, and then
    /// looks again.
    fn looks_again(&self) -> bool {
        matches!(self, Self::Kube { .. })
    }

    /// Lets Flux look at the repository and at a Kustomization now, and not at its next turn; ours
    /// looks all the time.
    pub(crate) fn look(&self, name: &str) -> anyhow::Result<()> {
        let Self::Kube { .. } = self else { return Ok(()) };
        let (namespace, name) = name.split_once('/').context("a name has a namespace")?;
        let now = format!("{:?}", Instant::now());
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        for path in [
            format!(
                "apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories/flux-system"
            ),
            format!(
                "apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/{name}"
            ),
        ] {
            // Before the first sync there is no app.
            if self.has(&path) {
                ureq::patch(format!("{}/{path}", self.api_url()))
                    .content_type("application/merge-patch+json")
                    .send(patch.to_string())?;
            }
        }
        Ok(())
    }

    /// Waits until a Kustomization has applied `revision` and all is healthy; fails at once when
    /// Flux gives that revision up.
    pub(crate) fn wait_ready(&self, name: &str, revision: &str) -> anyhow::Result<()> {
        self.look(name)?;
        let mut last = None;
        let done = self.wait_until(self.patience(), |cluster| {
            last = cluster.kustomization(name);
            last.as_ref().is_some_and(|it| {
                let is_over = it.failed && !self.looks_again();
                it.attempted == revision && (is_over || it.applied == revision && it.ready)
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
            Some((pid.and_then(|pid| pid.parse().ok()), status["ready"] == true))
        };
        let items = list["items"].as_array().into_iter().flatten();
        items
            .map(|object| {
                let (pid, is_ready) = pod(object).unwrap_or_default();
                let metadata = &object["metadata"];
                let name = metadata["name"].as_str().unwrap_or_default().to_owned();
                Pod { name, pid, ready: is_ready && metadata.get("deletionTimestamp").is_none() }
            })
            .collect()
    }

    /// Where clients reach a port of a Service; in a real cluster by way of its API, since its
    /// address is for those inside.
    pub(crate) fn service_url(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> anyhow::Result<String> {
        if let Self::Kube { .. } = self {
            let path = format!("api/v1/namespaces/{namespace}/services/{name}:{port}/proxy");
            return Ok(format!("{}/{path}", self.api_url()));
        }
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
        ensure!(status.is_success(), "{path} could not be deleted: {status}");
        Ok(())
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut response = ureq::get(format!("{}/{path}", self.api_url())).call().ok()?;
        serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
    }
}
