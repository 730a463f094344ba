//! What Flux would not find, or not wait for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Issue;
use crate::Object;
use crate::builds::{Build, Builds};
use crate::flux::Kustomization;

/// Builds that fail, with the folders that they are of.
pub(in super::super) fn builds(builds: &Builds) -> Vec<(&Build, String)> {
    let failed = builds
        .builds
        .iter()
        .filter_map(|build| Some((build, build.objects.as_ref().as_ref().err()?)));
    failed.map(|(build, why)| (build, why.clone())).collect()
}

/// The branch that a source of this repository follows, where it is none of these.
pub(in super::super) fn branches(
    source: &Object,
    sources: &[&Object],
    known: &BTreeSet<String>,
) -> Vec<Issue> {
    let is_own = |object: &Object| {
        (object.kind(), object.namespace(), object.name())
            == ("GitRepository", "flux-system", "flux-system")
    };
    let url = |object: &Object| object.at("/spec/url").cloned();
    let is_here = is_own(source)
        || source.kind() == "GitRepository"
            && sources.iter().any(|own| is_own(own) && url(own) == url(source));
    let branch = source.at("/spec/ref/branch").and_then(Value::as_str);
    match branch.filter(|branch| is_here && !known.contains(*branch)) {
        Some(branch) => {
            vec![("/spec/ref/branch".to_owned(), format!("there is no branch {branch}"))]
        }
        None => Vec::new(),
    }
}

/// Deployments of a build that may take longer than its Kustomization waits.
pub(in super::super) fn timeouts(kustomization: &Object, objects: &[Object]) -> Vec<Issue> {
    let Ok(Some((read, _))) = Kustomization::read_partly(kustomization) else { return Vec::new() };
    let deadline = |object: &Object| {
        object.at("/spec/progressDeadlineSeconds").and_then(Value::as_u64).unwrap_or(600)
    };
    let deployments = objects.iter().filter(|object| object.kind() == "Deployment");
    deployments
        .filter(|object| read.wait && read.timeout.as_secs() <= deadline(object))
        .map(|object| {
            let message = format!(
                "it waits {} s, and {} has {} s to come (progressDeadlineSeconds)",
                read.timeout.as_secs(),
                object.id(),
                deadline(object)
            );
            ("/spec/timeout".to_owned(), message)
        })
        .collect()
}
