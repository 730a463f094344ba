//! What runs well: a release becomes Ready, answers, is followed by another and comes back, and
//! survives what operators and the kernel do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::PEER;
use super::world::{PATIENCE, World, container, end};
use crate::client::ask;
use crate::report::Report;

/// The app that all of this is about, which is its namespace, too.
pub(super) const APP: &str = "shop";

pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let first = world.release(&world.open, "one", |_| Ok(()))?;
    let second = world.release(&world.open, "two", |_| Ok(()))?;
    world.render(APP, &first.image, "")?;
    let begun = Instant::now();
    let revision = world.commit()?;
    // Nothing of what follows can be shown without it.
    world.await_ready(APP, &revision)?;
    let took = begun.elapsed().as_secs_f32();
    report.claim(
        PEER,
        &format!(
            "what render wrote is Ready under Pod Security restricted, {took:.0} s after its commit"
        ),
        || is_restricted(world, APP),
    );
    report.claim(PEER, "/predict through the Service says which ModelKit answers", || {
        let answer = world.ask(APP)?;
        ensure!(answer.digest == first.modelkit, "{} answers", answer.digest);
        ensure!(answer.label == "one", "it says {}", answer.label);
        Ok(())
    });
    report.claim(PEER, "logs, and a command in the container", || {
        let logs = world.kubectl(&format!("logs -n {APP} deployment/{APP}"))?;
        ensure!(logs.contains("http://"), "the log says {logs}");
        let version =
            world.kubectl(&format!("exec -n {APP} deployment/{APP} -- /kit-rs version"))?;
        ensure!(version.contains("kit-rs"), "it says {version}");
        Ok(())
    });
    report.claim(PEER, "`gitops get` says of the pods what kubectl does", || {
        let server = &world.plane.api;
        let line = format!("gitops get pods -n {APP} --server {}", server.url());
        let (ours, theirs) = (world.kit(&line)?, world.kubectl(&format!("get pods -n {APP}"))?);
        let words = |text: &str| -> Vec<String> {
            // Without the age, which grows.
            let row = text.lines().nth(1).unwrap_or_default().split_whitespace();
            row.filter(|it| !it.ends_with('s')).map(str::to_owned).collect()
        };
        let known = words(&theirs);
        ensure!(
            !known.is_empty() && known.iter().all(|it| words(&ours).contains(it)),
            "ours:\n{ours}\ntheirs:\n{theirs}"
        );
        Ok(())
    });
    under_load(report, "an update by commit", world, APP, |asking| {
        world.bump(APP, &second.image)?;
        world.await_ready(APP, &world.commit()?)?;
        asking.until_digest(&second.modelkit, PATIENCE)?;
        world.await_alone(APP)?;
        Ok(vec![first.modelkit.clone(), second.modelkit.clone()])
    });
    under_load(report, "its revert", world, APP, |asking| {
        world.await_ready(APP, &world.revert()?)?;
        asking.until_digest(&first.modelkit, PATIENCE)?;
        world.await_alone(APP)?;
        Ok(vec![second.modelkit.clone(), first.modelkit.clone()])
    });
    under_load(report, "`kubectl delete pod`", world, APP, |_| {
        let pod = world.await_alone(APP)?;
        let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
        world.kubectl(&format!("delete pod -n {APP} {name} --wait=false"))?;
        let other = world.await_alone(APP)?;
        ensure!(other["metadata"]["name"] != name, "the pod is still there");
        Ok(vec![first.modelkit.clone()])
    });
    report.claim(PEER, "a node is drained without a word, and gets its pod back", || {
        world.kubectl("drain node-1 --timeout=150s")?;
        let none = world.pods(APP)?.iter().all(|it| container(it)["ready"] != true);
        ensure!(none, "a pod is ready on a node that was drained");
        world.kubectl("uncordon node-1")?;
        world.await_alone(APP)?;
        ensure!(world.ask(APP)?.digest == first.modelkit);
        Ok(())
    });
    report.claim(PEER, "what somebody deletes and scales, Flux brings back", || {
        world.kubectl(&format!("scale -n {APP} deployment/{APP} --replicas=0"))?;
        world.kubectl(&format!("delete -n {APP} service/{APP}"))?;
        let revision = world.commit()?;
        world.await_ready(APP, &revision)?;
        world.await_alone(APP)?;
        ensure!(world.ask(APP)?.digest == first.modelkit);
        Ok(())
    });
    report.claim(PEER, "a server that is killed is started again", || {
        restarted(world, rustix::process::Signal::KILL, Duration::from_secs(60))
    });
    report.claim(PEER, "a server that hangs is started again within a minute", || {
        restarted(world, rustix::process::Signal::STOP, Duration::from_secs(60))
    });
    Ok(())
}

/// Whether an app's namespace lets in no pod with rights, and its own pod runs there.
pub(super) fn is_restricted(world: &World, app: &str) -> anyhow::Result<()> {
    let namespace = world.plane.api.find(&format!("api/v1/namespaces/{app}"))?;
    let labels = &namespace.context("the namespace is there")?["metadata"]["labels"];
    ensure!(labels["pod-security.kubernetes.io/enforce"] == "restricted", "labels: {labels}");
    let pod = world.await_alone(app)?;
    ensure!(container(&pod)["restartCount"] == 0, "it was restarted");
    let image = "127.0.0.1:9/any:1";
    let line = format!("run loose -n {app} --image={image} --restart=Never");
    let refused = world.kubectl(&line).err().map(|it| format!("{it:#}")).unwrap_or_default();
    ensure!(refused.contains("violates PodSecurity"), "a pod with all rights: {refused}");
    Ok(())
}

/// A claim that no request of an app fails meanwhile. `change` returns the ModelKits that may answer, in
/// order.
pub(super) fn under_load(
    report: &mut Report,
    what: &str,
    world: &World,
    app: &str,
    change: impl FnOnce(&crate::client::Asking) -> anyhow::Result<Vec<String>>,
) {
    let mut counted = 0;
    let shown = (|| {
        let asking = world.asking(app)?;
        let changed = change(&asking);
        let digests = changed?;
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        counted = end(asking, &digests).map_err(|error| world.explained(app, &error))?;
        anyhow::Ok(())
    })();
    report.claim(PEER, &format!("{what}: 0 of {counted} requests fail"), || shown);
}

/// Lets a signal hit the server of the app: kubelet starts it again, in the same pod.
fn restarted(
    world: &World,
    signal: rustix::process::Signal,
    patience: Duration,
) -> anyhow::Result<()> {
    let pod = world.await_alone(APP)?;
    let before = container(&pod)["restartCount"].as_u64().unwrap_or(0);
    let id = container(&pod)["containerID"].as_str().unwrap_or_default();
    let id = id.trim_start_matches("containerd://");
    let server = process_of(id).with_context(|| format!("no process of {id}"))?;
    rustix::process::kill_process(server, signal)?;
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    let path = format!("api/v1/namespaces/{APP}/pods/{name}");
    world.plane.api.wait(&path, patience, |pod| {
        let count = container(pod)["restartCount"].as_u64();
        count.is_some_and(|count| count > before) && container(pod)["ready"] == true
    })?;
    steady(world)
}

/// Waits until the app has answered for some seconds without a break: what was not ready while its
/// container was started again is told to kube-proxy a little later.
fn steady(world: &World) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(4) {
        ensure!(Instant::now() < deadline, "it does not answer without a break");
        if ask(&world.service(APP)?, "again").is_err() {
            since = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The process of a container, which its cgroup names.
fn process_of(container: &str) -> Option<rustix::process::Pid> {
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok())
            && groups.contains(container)
        {
            return rustix::process::Pid::from_raw(pid);
        }
    }
    None
}
