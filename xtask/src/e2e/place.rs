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
    let missing = missing()?;
    if !missing.is_empty() {
        bail!("the story cannot be told on this cluster:\n  {}", missing.join("\n  "));
    }
    Ok(())
}

/// What the story needs and the cluster has not, each with what to do. Of the same kind as `flux
/// check --pre`.
fn missing() -> anyhow::Result<Vec<String>> {
    let context = run_quietly(Command::new("kubectl").args(["config", "current-context"]))
        .context("kubectl has no current context: it names the cluster of the story")?;
    let version = get("/version").with_context(|| {
        format!("the cluster of the context {} does not answer", context.trim())
    })?;
    say(&format!("  context {}, Kubernetes {}", context.trim(), version["gitVersion"]));
    let mut missing = Vec::new();
    let number = |field: &str| -> u32 {
        let text = version[field].as_str().unwrap_or_default();
        text.trim_end_matches('+').parse().unwrap_or(0)
    };
    if (number("major"), number("minor")) < OLDEST {
        missing.push(format!("Kubernetes {}.{} or newer, as Flux 2.9 has it", OLDEST.0, OLDEST.1));
    }
    for (group, plural) in KINDS {
        if get(&format!("/apis/{group}/v1/{plural}")).is_err() {
            missing.push(format!(
                "Flux: there are no {plural}.{group}/v1; `flux install` brings them"
            ));
        }
    }
    for name in ["source-controller", "kustomize-controller"] {
        match get(&format!("/apis/apps/v1/namespaces/flux-system/deployments/{name}")) {
            Ok(it) if it["status"]["availableReplicas"].as_u64().unwrap_or(0) > 0 => {
                let image = &it["spec"]["template"]["spec"]["containers"][0]["image"];
                say(&format!("  {name}: {image}"));
            }
            Ok(_) => {
                missing.push(format!("{name}: its Deployment in flux-system is not available"))
            }
            Err(_) => say(&format!(
                "  {name}: no Deployment in flux-system; if nobody else runs it, nothing will happen"
            )),
        }
    }
    let sync =
        "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/flux-system";
    if let Ok(sync) = get(sync) {
        missing.push(format!(
            "a Flux that follows nothing yet: this one follows {}, and the story would take its place",
            sync["spec"]["path"]
        ));
    }
    if get("/api/v1/namespaces/distilbert").is_ok() {
        missing.push("the namespace distilbert for the story: it is somebody's already".to_owned());
    }
    Ok(missing)
}

/// The oldest that Flux 2.9 supports.
const OLDEST: (u32, u32) = (1, 34);

const KINDS: [(&str, &str); 2] = [
    ("source.toolkit.fluxcd.io", "gitrepositories"),
    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
];

fn get(path: &str) -> anyhow::Result<Value> {
    let answer = run_quietly(Command::new("kubectl").args(["get", "--raw", path]))?;
    Ok(serde_json::from_str(&answer)?)
}
