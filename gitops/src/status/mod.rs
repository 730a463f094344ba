//! How an object is doing, read from its status: kstatus' rules, as Flux uses them.
//!
//! What every object may have comes first (deletion, generations, `Reconciling` and `Stalled`),
//! then the rules of the kinds that Kubernetes brings (`kinds`), then the condition `Ready`.

mod kinds;

use serde_json::Value;

use crate::Object;

/// How an object is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is what it should be.
    Current,
    /// It is on its way, and this is what it waits for.
    InProgress(String),
    /// It will not get there by itself, for this reason.
    Failed(String),
    /// It is being deleted.
    Terminating,
    /// There is no such object.
    NotFound,
    /// It cannot be told, for this reason.
    Unknown(String),
}

impl Health {
    /// Whether the object is what it should be.
    pub fn is_current(&self) -> bool {
        matches!(self, Self::Current)
    }

    /// Whether it will not become so.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// The word that Flux uses in its messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress(_) => "InProgress",
            Self::Failed(_) => "Failed",
            Self::Terminating => "Terminating",
            Self::NotFound => "NotFound",
            Self::Unknown(_) => "Unknown",
        }
    }

    /// What is behind the word; empty where that says all.
    pub fn reason(&self) -> &str {
        match self {
            Self::InProgress(reason) | Self::Failed(reason) | Self::Unknown(reason) => reason,
            Self::Current | Self::Terminating | Self::NotFound => "",
        }
    }
}

/// Reads an object's health from its `status`.
///
/// A kind without rules of its own is judged by its condition `Ready`, if it has one; else being
/// there is enough.
pub fn health(object: &Object) -> Health {
    generic(object).or_else(|| kinds::health(object)).unwrap_or_else(|| by_ready(object))
}

/// The health of what makes pods, once its pods are known: while it is on its way, a pod that has
/// failed for good fails it, unless that pod is being deleted or only waits for a node.
pub fn with_pods(own: Health, pods: &[Object]) -> Health {
    if !matches!(own, Health::InProgress(_)) {
        return own;
    }
    let has_failed = |pod: &&Object| {
        health(pod).is_failed()
            && !condition(pod, "PodScheduled").is_some_and(|it| it["reason"] == "Unschedulable")
    };
    match pods.iter().filter(has_failed).count() {
        0 => own,
        n => Health::Failed(format!("{n} pods have failed")),
    }
}

/// What holds for every kind.
fn generic(object: &Object) -> Option<Health> {
    if object
        .at("/metadata/deletionTimestamp")
        .is_some_and(|it| it.as_str().is_some_and(|at| !at.is_empty()))
    {
        return Some(Health::Terminating);
    }
    let number = |pointer: &str| object.at(pointer).and_then(Value::as_i64);
    if let (Some(generation), Some(observed)) =
        (number("/metadata/generation"), number("/status/observedGeneration"))
        && observed != generation
    {
        return Some(Health::InProgress(format!(
            "generation {generation} is not seen yet, {observed} is"
        )));
    }
    conditions(object).filter(|it| it["status"] == "True").find_map(|it| {
        match it["type"].as_str()? {
            "Reconciling" => Some(Health::InProgress(message(it, "it is being reconciled"))),
            "Stalled" => Some(Health::Failed(message(it, "it is stalled"))),
            _ => None,
        }
    })
}

fn by_ready(object: &Object) -> Health {
    let states = ["True", "False", "Unknown"];
    let ready = conditions(object).find(|it| {
        it["type"] == "Ready" && it["status"].as_str().is_some_and(|text| states.contains(&text))
    });
    match ready {
        None => Health::Current,
        Some(ready) if ready["status"] == "True" => Health::Current,
        Some(ready) => Health::InProgress(message(ready, "it is not ready")),
    }
}

/// A condition of an object's status.
pub fn condition<'a>(object: &'a Object, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| condition["type"] == kind)
}

fn conditions(object: &Object) -> impl Iterator<Item = &Value> {
    object.at("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

/// Whether a condition is there with that status.
fn is(object: &Object, kind: &str, status: &str) -> bool {
    conditions(object).any(|it| it["type"] == kind && it["status"] == status)
}

fn message(condition: &Value, default: &str) -> String {
    condition["message"].as_str().filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests;
