//! Which program a container runs, and with which variables.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::pod::{Container, Pod};
use super::{Issue, issue};
use crate::ImageRef;

pub(super) fn tag(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let text = container.text("/image");
    let image = text.parse::<ImageRef>().ok();
    let is_wrong = match &image {
        None => text.is_empty(),
        Some(image) => {
            image.digest.is_none() && image.tag.as_deref().is_none_or(|tag| tag == "latest")
        }
    };
    let what = if text.is_empty() { "there is no image" } else { "the image has no fixed tag" };
    issue(is_wrong, at(container), what)
}

/// What is mounted is what runs, as far as a model is: admission controllers pass it by.
pub(super) fn digest(pod: &Pod<'_>) -> Vec<Issue> {
    let has = |reference: &str| reference.contains('@');
    let containers = pod.containers().into_iter().flat_map(|container| {
        let what = "the image has no digest: what runs can change without a commit";
        issue(!has(container.text("/image")), at(&container), what)
    });
    let volumes = pod.get("/volumes").and_then(Value::as_array).into_iter().flatten();
    let mounted = volumes.enumerate().flat_map(|(n, volume)| {
        let reference = volume.pointer("/image/reference").and_then(Value::as_str);
        let at = format!("{}/volumes/{n}/image/reference", pod.at);
        let what = "the image has no digest: what is mounted can change without a commit";
        issue(reference.is_some_and(|reference| !has(reference)), at, what)
    });
    containers.chain(mounted).collect()
}

pub(super) fn pull_policy(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let image = container.text("/image");
    let Ok(read) = image.parse::<ImageRef>() else { return Vec::new() };
    let policy = container.text("/imagePullPolicy");
    // Without a policy, an image without a tag is pulled always.
    let is_pulled = match policy {
        "" => read.tag.as_deref().is_none_or(|tag| tag == "latest"),
        policy => policy == "Always",
    };
    issue(
        read.digest.is_none() && !is_pulled,
        format!("{}/imagePullPolicy", container.at),
        "name the image by digest, or set imagePullPolicy to Always",
    )
}

pub(super) fn duplicate_env(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let mut known = BTreeSet::new();
    let variables = container.list("/env").iter().enumerate();
    variables
        .filter_map(|(n, variable)| {
            let name = variable["name"].as_str()?;
            let is_new = known.insert(name);
            let at = format!("{}/env/{n}", container.at);
            (!is_new).then(|| (at, format!("{name} is set twice")))
        })
        .collect()
}

fn at(container: &Container<'_>) -> String {
    format!("{}/image", container.at)
}
