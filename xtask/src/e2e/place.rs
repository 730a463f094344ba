//! Where the story deploys: into its own cluster, or into the one that `kubectl` knows.

use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::stage::{Stage, say};
use crate::peers::run_quietly;

/// The cluster of the story.
pub(crate) enum Place {
    /// `kit-rs gitops up`.
    Here,
    /// The current context of kubectl, with its Flux.
    Kube {
        /// A repository that it can fetch from and we can push to; the story's own on loopback
        /// otherwise.
        git: Option<String>,
    },
}

impl Place {
    /// How many seconds a rollout may take: long enough for a real node to pull.
    pub(crate) fn progress_deadline(&self) -> u32 {
        match self {
            Self::Here => 15,
            Self::Kube { .. } => 60,
        }
    }
}

/// Whether the story can be told there: says what is there, and fails with all that is missing.
pub(crate) fn check(stage: &mut Stage, place: &Place) -> anyhow::Result<()> {
    let Place::Kube { .. } = place else { return Ok(()) };
    stage.step("check: what the cluster has");
    let mut missing = of_flux(stage)?;
    missing.extend(of_story());
    if !missing.is_empty() {
        bail!("the story cannot be told on this cluster:\n  {}", missing.join("\n  "));
    }
    Ok(())
}

/// What `kit-rs gitops check --pre` finds missing. Controllers that are no Deployments of
/// `flux-system` may run elsewhere: that is said, and the story goes on.
fn of_flux(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let line = "kit-rs gitops check --pre --format json";
    say(&format!("$ {line}"));
    let output = stage.command(line)?.output()?;
    let looked: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    let mut missing = Vec::new();
    for check in looked["checks"].as_array().context("the checks")? {
        let what = check["what"].as_str().unwrap_or_default();
        let is_elsewhere =
            what.ends_with("deployment is missing") || what.contains("'flux-system'");
        match check["ok"] == true {
            true => say(&format!("  {what}")),
            false if is_elsewhere => {
                say(&format!("  {what}; if nobody else runs it, nothing will happen"));
            }
            false => missing.push(what.to_owned()),
        }
    }
    Ok(missing)
}

/// What else the story needs: what it brings must be nobody's already.
fn of_story() -> Vec<String> {
    let mut taken = Vec::new();
    let sync =
        "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/flux-system";
    if let Ok(sync) = get(sync) {
        taken.push(format!(
            "a Flux that follows nothing yet: this one follows {}, and the story would take its place",
            sync["spec"]["path"]
        ));
    }
    if get("/api/v1/namespaces/distilbert").is_ok() {
        taken.push("the namespace distilbert for the story: it is somebody's already".to_owned());
    }
    taken
}

fn get(path: &str) -> anyhow::Result<Value> {
    let answer = run_quietly(Command::new("kubectl").args(["get", "--raw", path]))?;
    Ok(serde_json::from_str(&answer)?)
}
