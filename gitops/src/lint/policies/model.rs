//! What only who knows the model can ask: sizes and times of one set of measured numbers.

use serde_json::Value;

use super::super::pod::{Container, Pod};
use super::{Issue, issue};
use crate::edit::bytes;
use crate::{Object, times};

pub(super) fn memory(
    _: &Object,
    _: &Pod<'_>,
    container: &Container<'_>,
    weights: u64,
) -> Vec<Issue> {
    let needs = crate::memory(weights);
    let limit = container.get("/resources/limits/memory").and_then(|value| match value {
        Value::String(text) => bytes(text),
        number => number.as_u64(),
    });
    let is_wrong = limit.is_some_and(|limit| limit < needs << 20);
    let has = limit.unwrap_or_default() >> 20;
    issue(
        is_wrong,
        format!("{}/resources/limits/memory", container.at),
        format!(
            "{has}Mi are less than the {needs}Mi that this model needs: {} MiB of weights, and what clients make the server hold",
            weights.div_ceil(1 << 20)
        ),
    )
}

pub(super) fn startup(
    object: &Object,
    _: &Pod<'_>,
    container: &Container<'_>,
    weights: u64,
) -> Vec<Issue> {
    let number = |probe: &str, field: &str, default: u64| {
        let value = container.get(&format!("/{probe}/{field}")).and_then(Value::as_u64);
        value.unwrap_or(default)
    };
    // How long a probe bears a server that does not answer yet.
    let budget = |probe: &str| {
        let times = number(probe, "periodSeconds", 10) * number(probe, "failureThreshold", 3);
        number(probe, "initialDelaySeconds", 0).saturating_add(times)
    };
    let has = |probe: &str| container.get(&format!("/{probe}")).is_some();
    let needs = times::startup(weights).as_secs();
    let mut issues = Vec::new();
    // Once there is a startupProbe, the other waits for it.
    let decides = ["startupProbe", "livenessProbe"].into_iter().find(|probe| has(probe));
    if let Some(probe) = decides.filter(|probe| budget(probe) < needs) {
        issues.push((
            format!("{}/{probe}", container.at),
            format!(
                "{probe} gives up after {} s; loading the weights may take {needs} s",
                budget(probe)
            ),
        ));
    }
    let deadline =
        object.at("/spec/progressDeadlineSeconds").and_then(Value::as_u64).unwrap_or(600);
    if object.kind() == "Deployment" && deadline < needs {
        issues.push((
            "/spec/progressDeadlineSeconds".to_owned(),
            format!(
                "a rollout has failed after {deadline} s; loading the weights may take {needs} s"
            ),
        ));
    }
    issues
}
