//! A cluster with a node and Flux, registries, and the repository that says what runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::client::{Answer, Asking, ask};
use crate::kube::{ControlPlane, Flux, Node, Programs, Repository};
use crate::peers::{Peers, run_quietly};
use crate::registries::{Registry, Shop};
use crate::release::{Release, model, release};

/// The longest that anything here takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);

/// How long a rollout may go without progress: long enough for a pod to start on a busy machine.
const DEADLINE: u32 = 40;

/// The user of the private registry, and the password.
const USER: (&str, &str) = ("user", "secret");

/// What is asked: the tiny model answers with its version, whatever the text.
const TEXTS: [&str; 2] = ["I love it", "it broke after a day"];

pub(super) struct World {
    pub(super) plane: ControlPlane,
    pub(super) repository: Repository,
    pub(super) open: Registry,
    /// Lets in users only.
    pub(super) closed: Registry,
    /// In the network of the pods, which do not reach the others.
    pub(super) near: Registry,
    pub(super) shop: Shop,
    pub(super) dir: PathBuf,
    pub(super) program: PathBuf,
    pub(super) workspace: PathBuf,
    pub(super) cgroup: String,
}

impl World {
    pub(super) fn start(
        peers: &Peers,
        program: &Path,
        workspace: &Path,
        dir: &Path,
        cgroup: &str,
    ) -> anyhow::Result<Self> {
        let programs = Programs::of_node(peers)?;
        let shop = Shop::open(dir.join("shop"), program.to_owned())?;
        let open = Registry::ours(program, &dir.join("open"), "127.0.0.1:0", &[])?;
        let users = shop.dir.join("users");
        let (user, password) = USER;
        let line = shop.run(Path::new("htpasswd"), &format!("-Bbn {user} {password}"))?;
        fs::write(&users, line)?;
        let flags = ["--htpasswd", &*users.to_string_lossy()];
        let closed = Registry::ours(program, &dir.join("closed"), "127.0.0.1:0", &flags)?;
        shop.kit_with(
            "home",
            &format!("login {} -u {user} --password-stdin", closed.address),
            password,
        )?;
        let repository = Repository::start(dir)?;
        let mut plane = ControlPlane::start(&programs, peers, &dir.join("kube"))?;
        let address = format!("{}:0", Node::network()?);
        let near = Registry::ours(program, &dir.join("near"), &address, &[])?;
        let registries = [&*open.address, &*closed.address, &*near.address];
        Node::start(&mut plane, &programs, &dir.join("node"), &registries, cgroup)?;
        Flux::start(&mut plane, &programs, &dir.join("kube"))?;
        let world = Self {
            plane,
            repository,
            open,
            closed,
            near,
            shop,
            dir: dir.to_owned(),
            program: program.to_owned(),
            workspace: workspace.to_owned(),
            cgroup: cgroup.to_owned(),
        };
        let (url, work) = (&world.repository.url, world.repository.work.display());
        world.kit(&format!(
            "gitops bootstrap --url {url} --branch main --dir {work} --no-cluster"
        ))?;
        world.repository.push()?;
        let sync = world.repository.work.join("clusters/dev/flux-system/gotk-sync.yaml");
        run_quietly(world.plane.kubectl("apply --server-side -f").arg(sync))?;
        Ok(world)
    }

    /// Runs `kit-rs`.
    pub(super) fn kit(&self, line: &str) -> anyhow::Result<String> {
        self.shop.kit("home", line)
    }

    /// Runs `kubectl`.
    pub(super) fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        run_quietly(&mut self.plane.kubectl(line))
    }

    /// A release of a version in a registry, after `change` had its way with its model.
    pub(super) fn release(
        &self,
        registry: &Registry,
        version: &str,
        change: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Release> {
        let folder = self.dir.join("models").join(version);
        model(&self.workspace, &folder, version)?;
        change(&folder.join("model"))?;
        release(&self.shop, &registry.address, &folder, version, &self.program)
    }

    /// Writes an app for a release.
    pub(super) fn render(&self, app: &str, image: &str, flags: &str) -> anyhow::Result<()> {
        let work = self.repository.work.display();
        self.kit(&format!(
            "gitops render {image} --app {app} --progress-deadline {DEADLINE} --dir {work} {flags}"
        ))
        .map(drop)
    }

    /// Points an app at another release.
    pub(super) fn bump(&self, app: &str, image: &str) -> anyhow::Result<()> {
        let work = self.repository.work.display();
        self.kit(&format!("gitops bump {image} --app {app} --dir {work}")).map(drop)
    }

    /// Changes the Deployment of an app in Git, by hand.
    pub(super) fn edit(
        &self,
        app: &str,
        change: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<()> {
        let path = format!("apps/{app}/deployment.yaml");
        let before = self.repository.read(&path)?;
        let after = change(&before);
        ensure!(after != before, "{path} has nothing to change");
        self.repository.write(&path, &after)
    }

    /// Commits, and lets Flux look; returns the revision.
    pub(super) fn commit(&self) -> anyhow::Result<String> {
        let revision = self.repository.push()?;
        self.look()?;
        Ok(revision)
    }

    /// Takes the newest commit back, and lets Flux look.
    pub(super) fn revert(&self) -> anyhow::Result<String> {
        let revision = self.repository.revert()?;
        self.look()?;
        Ok(revision)
    }

    fn look(&self) -> anyhow::Result<()> {
        let now = format!("{:?}", Instant::now());
        let patch = serde_json::json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let path =
            "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/flux-system";
        self.plane.api.patch(path, &patch).map(drop)
    }

    /// Waits until Flux has applied a revision of an app, and all of it is healthy; fails as soon
    /// as Flux gives it up.
    pub(super) fn await_ready(&self, app: &str, revision: &str) -> anyhow::Result<()> {
        let (ready, why) = self.await_verdict(app, revision)?;
        if !ready {
            bail!("{why}\n{}", self.told(app));
        }
        Ok(())
    }

    /// The same for a revision that repairs another. The Deployment may still say that it has failed
    /// when Flux looks at it first; then Flux looks again after `retryInterval`.
    pub(super) fn await_healed(&self, app: &str, revision: &str) -> anyhow::Result<()> {
        let healed = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            let mut ready = conditions.filter(|it| it["type"] == "Ready");
            object["status"]["lastAppliedRevision"] == revision
                && ready.any(|it| it["status"] == "True")
        };
        let healed = self.plane.api.wait(&app_path(app), PATIENCE, healed);
        healed.map(drop).map_err(|error| self.explained(app, &error))
    }

    /// Waits until Flux gives a revision of an app up; returns why.
    pub(super) fn await_given_up(&self, app: &str, revision: &str) -> anyhow::Result<String> {
        let (ready, why) = self.await_verdict(app, revision)?;
        ensure!(!ready, "{app} became ready");
        Ok(why)
    }

    fn await_verdict(&self, app: &str, revision: &str) -> anyhow::Result<(bool, String)> {
        let ready = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array()?;
            conditions.iter().find(|it| it["type"] == "Ready").cloned()
        };
        let found = self.plane.api.wait(&app_path(app), PATIENCE, |object| {
            object["status"]["lastAttemptedRevision"] == revision
                && ready(object).is_some_and(|it| match it["status"].as_str() {
                    Some("True") => object["status"]["lastAppliedRevision"] == revision,
                    Some("False") => it["reason"] != "DependencyNotReady",
                    _ => false,
                })
        });
        let found = found.map_err(|error| self.explained(app, &error))?;
        let verdict = ready(&found).context("it has a condition")?;
        let why = format!("{}: {}", verdict["reason"], verdict["message"]);
        Ok((verdict["status"] == "True", why))
    }

    /// An error, and below it what is known of an app's pods.
    pub(super) fn explained(&self, app: &str, error: &anyhow::Error) -> anyhow::Error {
        anyhow::anyhow!("{error:#}\n{}", self.told(app))
    }

    /// What is known of an app's pods, for whoever reads why a claim failed.
    fn told(&self, app: &str) -> String {
        let pods = self.kubectl(&format!("describe pods -n {app}")).unwrap_or_default();
        let lines: Vec<_> = pods.lines().filter(|line| is_telling(line)).collect();
        let events = self.kubectl(&format!("get events -n {app} --sort-by=.lastTimestamp"));
        let events = events.unwrap_or_default();
        let warnings = events.lines().filter(|line| line.contains("Warning"));
        let events: Vec<_> = warnings.rev().take(8).collect();
        [lines, events].concat().join("\n")
    }

    /// The pods of an app that are not on their way out.
    pub(super) fn pods(&self, app: &str) -> anyhow::Result<Vec<Value>> {
        let mut pods = self.plane.api.list(&format!("api/v1/namespaces/{app}/pods"))?;
        pods.retain(|it| it["metadata"]["deletionTimestamp"].is_null());
        Ok(pods)
    }

    /// Waits until an app has one pod and no other, which is ready; returns it.
    pub(super) fn await_alone(&self, app: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.plane.api.list(&format!("api/v1/namespaces/{app}/pods"))?;
            match &all[..] {
                [pod]
                    if container(pod)["ready"] == true
                        && pod["metadata"]["deletionTimestamp"].is_null() =>
                {
                    return Ok(pod.clone());
                }
                _ if Instant::now() > deadline => {
                    bail!("{} pods:\n{}", all.len(), self.told(app))
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Where the Service of an app is.
    pub(super) fn service(&self, app: &str) -> anyhow::Result<String> {
        let path = format!("api/v1/namespaces/{app}/services/{app}");
        let service = self.plane.api.find(&path)?.with_context(|| format!("no {path}"))?;
        let address = service["spec"]["clusterIP"].as_str().context("it has no address")?;
        Ok(format!("http://{address}:{}", service["spec"]["ports"][0]["port"]))
    }

    /// Asks an app, which may have become ready a moment ago: kube-proxy hears of it a little later.
    pub(super) fn ask(&self, app: &str) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match ask(&self.service(app)?, TEXTS[0]) {
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                answered => return answered,
            }
        }
    }

    /// Begins to ask an app without a pause.
    pub(super) fn asking(&self, app: &str) -> anyhow::Result<Asking> {
        let texts = TEXTS.map(|text| (text.to_owned(), 0));
        Asking::begin(&self.service(app)?, &texts)
    }
}

/// The Kustomization of an app.
pub(super) fn app_path(app: &str) -> String {
    format!("apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/{app}-app")
}

/// Whether a line of `kubectl describe pods` says how a pod is.
fn is_telling(line: &str) -> bool {
    const FIELDS: [&str; 6] =
        ["Name:", "State:", "Reason:", "Message:", "Restart Count:", "Last State:"];
    FIELDS.iter().any(|field| line.trim_start().starts_with(field))
}

/// The status of a pod's one container.
pub(super) fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

/// Ends the asking: none failed, and only these ModelKits answered, in this order. Returns how many
/// requests there were.
pub(super) fn end(asking: Asking, digests: &[&str]) -> anyhow::Result<u64> {
    let seen = asking.end()?;
    let n = seen.n_requests;
    ensure!(
        seen.failures.is_empty(),
        "{} of {n} requests failed: {:?}",
        seen.failures.len(),
        seen.failures.iter().take(3).collect::<Vec<_>>()
    );
    ensure!(seen.digests == digests, "{:?} answered, not {digests:?}", seen.digests);
    Ok(n)
}
