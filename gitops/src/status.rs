//! How an object is doing, read from its status: what kstatus says, for the kinds that matter here.

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
}

impl Health {
    /// Whether the object is what it should be.
    pub fn is_current(&self) -> bool {
        matches!(self, Self::Current)
    }

    /// The word that Flux uses in its messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress(_) => "InProgress",
            Self::Failed(_) => "Failed",
        }
    }
}

/// Reads an object's health from its `status`.
///
/// A kind without rules of its own is judged by its condition `Ready`, if it has one; else being
/// there is enough.
pub fn health(object: &Object) -> Health {
    let generation = object.at("/metadata/generation").and_then(Value::as_u64);
    let observed = object.at("/status/observedGeneration").and_then(Value::as_u64);
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return Health::InProgress(format!(
            "generation {generation} is not seen yet, {observed} is"
        ));
    }
    if object.at("/metadata/deletionTimestamp").is_some_and(|value| !value.is_null()) {
        return Health::InProgress("it is being deleted".to_owned());
    }
    match (object.api_version(), object.kind()) {
        ("apps/v1", "Deployment") => deployment(object),
        ("v1", "Pod") => pod(object),
        _ => by_condition(object),
    }
}

fn deployment(object: &Object) -> Health {
    if let Some(stalled) = condition(object, "Progressing")
        .filter(|condition| condition["reason"] == "ProgressDeadlineExceeded")
    {
        return Health::Failed(message(stalled, "the progress deadline is exceeded"));
    }
    if object
        .at("/status")
        .is_none_or(|status| status.as_object().is_none_or(serde_json::Map::is_empty))
    {
        return Health::InProgress("no controller has seen it yet".to_owned());
    }
    let count =
        |field: &str| object.at(&format!("/status/{field}")).and_then(Value::as_u64).unwrap_or(0);
    let wanted = object.at("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let (all, updated, available, ready) = (
        count("replicas"),
        count("updatedReplicas"),
        count("availableReplicas"),
        count("readyReplicas"),
    );
    if updated < wanted {
        Health::InProgress(format!("{updated} of {wanted} replicas are updated"))
    } else if all > updated {
        Health::InProgress(format!("{} old replicas have yet to end", all - updated))
    } else if available < updated {
        Health::InProgress(format!("{available} of {updated} updated replicas are available"))
    } else if ready < wanted {
        Health::InProgress(format!("{ready} of {wanted} replicas are ready"))
    } else {
        Health::Current
    }
}

fn pod(object: &Object) -> Health {
    let phase = object.at("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    if phase == "Succeeded" {
        return Health::Current;
    }
    if phase == "Failed" {
        let reason =
            object.at("/status/message").and_then(Value::as_str).unwrap_or("the pod has failed");
        return Health::Failed(reason.to_owned());
    }
    let containers = object
        .at("/status/containerStatuses")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let waiting = containers
        .iter()
        .filter_map(|container| container.pointer("/state/waiting/reason")?.as_str());
    match waiting.into_iter().find(|reason| {
        ["CrashLoopBackOff", "ImagePullBackOff", "CreateContainerConfigError"].contains(reason)
    }) {
        Some(reason) if phase == "Running" || reason != "ImagePullBackOff" => {
            Health::Failed(reason.to_owned())
        }
        _ if condition(object, "Ready").is_some_and(|ready| ready["status"] == "True") => {
            Health::Current
        }
        _ => Health::InProgress(format!("the pod is {phase} and not ready")),
    }
}

fn by_condition(object: &Object) -> Health {
    match condition(object, "Ready") {
        None => Health::Current,
        Some(ready) if ready["status"] == "True" => Health::Current,
        Some(ready)
            if condition(object, "Stalled").is_some_and(|stalled| stalled["status"] == "True") =>
        {
            Health::Failed(message(ready, "it is stalled"))
        }
        Some(ready) => Health::InProgress(message(ready, "it is not ready")),
    }
}

/// A condition of an object's status.
pub fn condition<'a>(object: &'a Object, kind: &str) -> Option<&'a Value> {
    object.at("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn message(condition: &Value, default: &str) -> String {
    condition["message"].as_str().filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: &str, spec: Value, status: Value) -> Health {
        let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "generation": 2}, "spec": spec, "status": status});
        health(&Object::from_value(value).unwrap())
    }

    fn progress(text: &str) -> Health {
        Health::InProgress(text.to_owned())
    }

    #[test]
    fn a_deployment_is_current_when_all_pods_are_new_and_available() {
        let spec = json!({"replicas": 2});
        let check =
            |status, expected: Health| assert_eq!(of("Deployment", spec.clone(), status), expected);
        check(json!({}), progress("no controller has seen it yet"));
        check(json!({"observedGeneration": 1}), progress("generation 2 is not seen yet, 1 is"));
        check(
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}),
            progress("1 of 2 replicas are updated"),
        );
        check(
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2}),
            progress("1 old replicas have yet to end"),
        );
        check(
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            progress("1 of 2 updated replicas are available"),
        );
        check(
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}),
            Health::Current,
        );
    }

    #[test]
    fn a_deployment_fails_when_its_progress_deadline_is_exceeded() {
        let status = json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]});
        assert_eq!(of("Deployment", json!({}), status), Health::Failed("too slow".to_owned()));
    }

    #[test]
    fn a_pod_is_judged_by_its_phase_containers_and_readiness() {
        let check = |status, expected: Health| assert_eq!(of("Pod", json!({}), status), expected);
        check(json!({}), progress("the pod is Pending and not ready"));
        check(json!({"phase": "Running"}), progress("the pod is Running and not ready"));
        check(
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
            Health::Current,
        );
        check(
            json!({"phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
            Health::Failed("CrashLoopBackOff".to_owned()),
        );
        check(json!({"phase": "Succeeded"}), Health::Current);
        check(
            json!({"phase": "Failed", "message": "evicted"}),
            Health::Failed("evicted".to_owned()),
        );
    }

    #[test]
    fn other_kinds_are_judged_by_ready_if_they_have_it() {
        assert_eq!(of("ConfigMap", json!({}), json!(null)), Health::Current);
        assert_eq!(
            of(
                "Thing",
                json!({}),
                json!({"conditions": [{"type": "Ready", "status": "False", "message": "soon"}]})
            ),
            progress("soon")
        );
    }
}
