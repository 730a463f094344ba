//! What a container may take of its node.

use serde_json::Value;

use super::super::pod::{Container, Pod};
use super::{Issue, issue};

pub(super) fn cpu_request(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    missing(container, "requests", "cpu")
}

pub(super) fn cpu_limit(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    missing(container, "limits", "cpu")
}

/// A limit alone is a request, too.
pub(super) fn memory_request(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    missing(container, "requests", "memory")
}

pub(super) fn memory_limit(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    missing(container, "limits", "memory")
}

pub(super) fn storage(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let [request, limit] =
        ["requests", "limits"].map(|of| missing(container, of, "ephemeral-storage"));
    [request, limit].concat()
}

pub(super) fn memory_equal(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let of = |of: &str| container.get(&format!("/resources/{of}/memory"));
    issue(
        of("requests") != of("limits"),
        format!("{}/resources", container.at),
        "memory should have one value for its request and its limit",
    )
}

fn missing(container: &Container<'_>, of: &str, what: &str) -> Vec<Issue> {
    let value = container.get(&format!("/resources/{of}/{what}"));
    let is_set = value.is_some_and(|value| value != &Value::from("") && value != &Value::from(0));
    issue(
        !is_set,
        format!("{}/resources/{of}", container.at),
        format!("resources.{of} has no {what}"),
    )
}
