//! What runs badly: a release that cannot become ready never replaces one that is.

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::PEER;
use super::serving::APP;
use super::world::{PATIENCE, World, container, end};
use crate::report::Report;
use crate::serving::load;

pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let answered = world.ask(APP)?.digest;
    let halved = world.release(&world.open, "halved", |model| {
        let weights = model.join("model.safetensors");
        let whole = fs::read(&weights)?;
        Ok(fs::write(weights, &whole[..whole.len() / 2])?)
    })?;
    let second = format!("{}/demo/runtime:two", world.open.address);
    let cases: [Case<'_>; 3] = [
        Case {
            claim: "a model that is cut in half",
            change: &|| world.bump(APP, &halved.image),
            says: &["model.safetensors"],
        },
        Case {
            claim: "an image that is not there",
            change: &|| {
                world.edit(APP, |text| {
                    let (before, rest) = text.split_once("@sha256:").unwrap_or((text, ""));
                    let rest = rest.get(64..).unwrap_or_default();
                    format!("{before}@sha256:{}{rest}", "0".repeat(64))
                })
            },
            says: &["ErrImagePull", "ImagePullBackOff"],
        },
        Case {
            claim: "a quota that is used up",
            change: &|| {
                world
                    .kubectl(&format!("create quota tight -n {APP} --hard=limits.memory=300Mi"))?;
                world.bump(APP, &second)
            },
            says: &["exceeded quota"],
        },
    ];
    for case in cases {
        stays(world, report, &case, &answered);
    }
    world.kubectl(&format!("delete quota tight -n {APP} --ignore-not-found"))?;
    report.claim(
        PEER,
        "64 clients with long texts do not use up the memory that was rendered",
        || {
            let before = restarts(&world.await_alone(APP)?);
            ensure!(crowd(world)? > 0, "nothing was answered");
            let pod = world.await_alone(APP)?;
            let last = &container(&pod)["lastState"];
            ensure!(restarts(&pod) == before, "the server was restarted: {last}");
            Ok(())
        },
    );
    report.claim(
        PEER,
        "they do with a limit of 8Mi: the pod says OOMKilled, and serves again",
        || {
            world.edit(APP, |text| with_memory(text, "8Mi"))?;
            world.await_ready(APP, &world.commit()?)?;
            let pod = world.await_alone(APP)?;
            let name = pod["metadata"]["name"].as_str().context("a pod has a name")?.to_owned();
            crowd(world)?;
            let path = format!("api/v1/namespaces/{APP}/pods/{name}");
            world.plane.api.wait(&path, PATIENCE, |pod| {
                let container = container(pod);
                let states =
                    ["state", "lastState"].map(|it| &container[it]["terminated"]["reason"]);
                states.iter().any(|it| **it == "OOMKilled")
            })?;
            world.plane.api.wait(&path, PATIENCE, |pod| container(pod)["ready"] == true)?;
            world.ask(APP)?;
            world.await_healed(APP, &world.revert()?)?;
            world.await_alone(APP).map(drop)
        },
    );
    Ok(())
}

/// A change that must not replace what answers.
struct Case<'a> {
    claim: &'static str,
    change: &'a dyn Fn() -> anyhow::Result<()>,
    /// One of these stands where `kubectl` shows why.
    says: &'a [&'static str],
}

fn stays(world: &World, report: &mut Report, case: &Case<'_>, answered: &str) {
    let mut told = String::new();
    let shown = (|| {
        let asking = world.asking(APP)?;
        (case.change)()?;
        let why = world.await_given_up(APP, &world.commit()?)?;
        let reasons = reasons(world)?;
        let n = end(asking, &[answered]).map_err(|error| world.explained(APP, &error))?;
        told = format!("0 of {n} requests fail");
        ensure!(why.contains("HealthCheckFailed"), "Flux says {why}");
        let says = case.says.iter().any(|it| reasons.contains(it) || why.contains(it));
        ensure!(says, "neither Flux nor Kubernetes says {:?}: {why}\n{reasons}", case.says);
        anyhow::Ok(())
    })();
    report.claim(PEER, &format!("{} leaves the old pod: {told}", case.claim), || shown);
    report.claim(PEER, &format!("{}: its revert is Ready", case.claim), || {
        world.await_healed(APP, &world.revert()?)?;
        world.await_alone(APP)?;
        ensure!(world.ask(APP)?.digest == answered);
        Ok(())
    });
}

/// What pods and the Deployment say of themselves.
fn reasons(world: &World) -> anyhow::Result<String> {
    let mut all = String::new();
    for pod in world.pods(APP)? {
        let status = container(&pod);
        all += &format!("{} {}\n", status["state"], status["lastState"]);
    }
    let deployment =
        world.plane.api.find(&format!("apis/apps/v1/namespaces/{APP}/deployments/{APP}"))?;
    let deployment = deployment.context("the Deployment is there")?;
    Ok(format!("{all}{}", deployment["status"]["conditions"]))
}

fn with_memory(text: &str, size: &str) -> String {
    let line = |line: &str| match line.split_once("memory: ") {
        Some((before, value)) if value.ends_with("Mi") => format!("{before}memory: {size}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Texts as long as the model takes, from more clients than it has threads; returns how many were
/// answered.
fn crowd(world: &World) -> anyhow::Result<usize> {
    let address = world.service(APP)?.trim_start_matches("http://").parse()?;
    let text = "a long text about a thing that broke ".repeat(400);
    let body = |n: usize| serde_json::json!({"text": format!("{n} {text}")}).to_string();
    let measured = load::closed_loop(address, 64, std::time::Duration::from_secs(8), &body);
    Ok(measured.latencies.len())
}

fn restarts(pod: &Value) -> Value {
    container(pod)["restartCount"].clone()
}
