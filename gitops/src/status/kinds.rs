//! The rules of the kinds that Kubernetes brings.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Health, condition, conditions, is, message};
use crate::Object;
use crate::get::parse_timestamp;

/// How long a pod may wait for a node before that counts as a failure.
const TO_SCHEDULE: Duration = Duration::from_secs(15);

/// A Deployment with this deadline has none.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// The health of an object whose kind has rules of its own; none for any other.
pub(super) fn health(object: &Object) -> Option<Health> {
    let id = object.id();
    Some(match (id.group.as_str(), id.kind.as_str()) {
        ("", "ConfigMap" | "Secret") | ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => {
            Health::Current
        }
        ("", "Service") => service(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("batch", "Job") => job(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => return None,
    })
}

/// The first of the steps that is not done yet.
fn first(steps: &[(bool, String)]) -> Option<Health> {
    steps.iter().find(|(open, _)| *open).map(|(_, what)| Health::InProgress(what.clone()))
}

fn count(object: &Object, pointer: &str, default: i64) -> i64 {
    object.at(pointer).and_then(Value::as_i64).unwrap_or(default)
}

fn text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object.at(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn deployment(object: &Object) -> Health {
    if let Some(late) = conditions(object)
        .find(|it| it["type"] == "Progressing" && it["reason"] == "ProgressDeadlineExceeded")
    {
        return Health::Failed(message(late, "the progress deadline is exceeded"));
    }
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let wanted = count(object, "/spec/replicas", 1);
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    let (available, ready) = (status("availableReplicas"), status("readyReplicas"));
    // Without a deadline no controller says that it goes on.
    let goes_on = count(object, "/spec/progressDeadlineSeconds", NO_DEADLINE) == NO_DEADLINE
        || conditions(object).any(|it| {
            it["type"] == "Progressing"
                && it["status"] == "True"
                && it["reason"] == "NewReplicaSetAvailable"
        });
    first(&[
        (wanted > all, format!("{all} of {wanted} replicas are there")),
        (wanted > updated, format!("{updated} of {wanted} replicas are updated")),
        (all > wanted, format!("{} replicas have yet to end", all - wanted)),
        (updated > available, format!("{available} of {updated} updated replicas are available")),
        (wanted > ready, format!("{ready} of {wanted} replicas are ready")),
        (!goes_on, "its new ReplicaSet is not available".to_owned()),
        (!is(object, "Available", "True"), "it is not available".to_owned()),
    ])
    .unwrap_or(Health::Current)
}

fn replica_set(object: &Object) -> Health {
    if is(object, "ReplicaFailure", "True") {
        return Health::InProgress("a replica has failed".to_owned());
    }
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let wanted = count(object, "/spec/replicas", 1);
    let (all, labelled) = (status("replicas"), status("fullyLabeledReplicas"));
    let (available, ready) = (status("availableReplicas"), status("readyReplicas"));
    first(&[
        (wanted > labelled, format!("{labelled} of {wanted} replicas have their labels")),
        (wanted > available, format!("{available} of {wanted} replicas are available")),
        (wanted > ready, format!("{ready} of {wanted} replicas are ready")),
        (all > wanted, format!("{} replicas have yet to end", all - wanted)),
    ])
    .unwrap_or(Health::Current)
}

fn stateful_set(object: &Object) -> Health {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::Current;
    }
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let wanted = count(object, "/spec/replicas", 1);
    let (all, ready) = (status("replicas"), status("readyReplicas"));
    let (present, updated) = (status("currentReplicas"), status("updatedReplicas"));
    let scaled = first(&[
        (wanted > all, format!("{all} of {wanted} replicas are there")),
        (wanted > ready, format!("{ready} of {wanted} replicas are ready")),
        (all > wanted, format!("{} replicas have yet to end", all - wanted)),
    ]);
    if let Some(health) = scaled {
        return health;
    }
    let partition = object.at("/spec/updateStrategy/rollingUpdate/partition");
    if let Some(partition) = partition.and_then(Value::as_i64).filter(|it| *it != -1) {
        let wanted = wanted - partition;
        return first(&[(updated < wanted, format!("{updated} of {wanted} replicas are updated"))])
            .unwrap_or(Health::Current);
    }
    let revisions =
        (text(object, "/status/currentRevision"), text(object, "/status/updateRevision"));
    first(&[
        (wanted > present, format!("{present} of {wanted} replicas are current")),
        (revisions.0 != revisions.1, "its new revision is not the present one yet".to_owned()),
    ])
    .unwrap_or(Health::Current)
}

fn daemon_set(object: &Object) -> Health {
    let is_number = |pointer: &str| object.at(pointer).is_some_and(Value::is_i64);
    if !is_number("/metadata/generation") || !is_number("/status/observedGeneration") {
        return Health::InProgress("no controller has seen it yet".to_owned());
    }
    let status = |field: &str| count(object, &format!("/status/{field}"), 0);
    let wanted = count(object, "/status/desiredNumberScheduled", -1);
    let (present, updated) = (status("currentNumberScheduled"), status("updatedNumberScheduled"));
    let (available, ready) = (status("numberAvailable"), status("numberReady"));
    first(&[
        (wanted == -1, "nobody has counted its nodes yet".to_owned()),
        (wanted > present, format!("{present} of {wanted} pods are there")),
        (wanted > updated, format!("{updated} of {wanted} pods are updated")),
        (wanted > available, format!("{available} of {wanted} pods are available")),
        (wanted > ready, format!("{ready} of {wanted} pods are ready")),
    ])
    .unwrap_or(Health::Current)
}

fn claim(object: &Object) -> Health {
    match text(object, "/status/phase") {
        "Bound" => Health::Current,
        phase => Health::InProgress(format!("the claim is not bound, but {phase:?}")),
    }
}

/// A pod that has ended is current, whether it ended well or not.
fn pod(object: &Object) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" | "Failed" => Health::Current,
        "Running" if is(object, "Ready", "True") => Health::Current,
        "Running" => match crash_looping(object).as_slice() {
            [] => Health::InProgress("the pod is running and not ready".to_owned()),
            names => {
                Health::Failed(format!("containers crash again and again: {}", names.join(",")))
            }
        },
        "Pending" => pending(object),
        "" => Health::InProgress("no node has seen the pod yet".to_owned()),
        phase => Health::Unknown(format!("unknown phase {phase}")),
    }
}

fn crash_looping(pod: &Object) -> Vec<&str> {
    let containers = pod.at("/status/containerStatuses").and_then(Value::as_array);
    let looping = |it: &&Value| {
        it.pointer("/state/waiting/reason").is_some_and(|reason| reason == "CrashLoopBackOff")
    };
    containers.into_iter().flatten().filter(looping).filter_map(|it| it["name"].as_str()).collect()
}

fn pending(pod: &Object) -> Health {
    let unscheduled = condition(pod, "PodScheduled")
        .is_some_and(|it| it["status"] == "False" && it["reason"] == "Unschedulable");
    if !unscheduled {
        return Health::InProgress("the pod is pending".to_owned());
    }
    let created = parse_timestamp(text(pod, "/metadata/creationTimestamp"));
    let age = created.and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
    match age < TO_SCHEDULE {
        true => Health::InProgress("no node was found for the pod yet".to_owned()),
        false => Health::Failed("no node was found for the pod".to_owned()),
    }
}

/// Flux waits for the end of a Job, where kstatus is content with its beginning.
fn job(object: &Object) -> Health {
    if object.at("/spec/suspend") == Some(&Value::Bool(true)) || is(object, "Complete", "True") {
        return Health::Current;
    }
    if let Some(failed) =
        conditions(object).find(|it| it["type"] == "Failed" && it["status"] == "True")
    {
        return Health::Failed(message(failed, "the job has failed"));
    }
    Health::InProgress(match text(object, "/status/startTime") {
        "" => "the job has not started".to_owned(),
        _ => "the job has not ended".to_owned(),
    })
}

fn service(object: &Object) -> Health {
    let waits =
        text(object, "/spec/type") == "LoadBalancer" && text(object, "/spec/clusterIP").is_empty();
    match waits {
        true => Health::InProgress("it has no address yet".to_owned()),
        false => Health::Current,
    }
}

fn definition(object: &Object) -> Health {
    for it in conditions(object) {
        match (it["type"].as_str(), it["status"].as_str()) {
            (Some("NamesAccepted"), Some("False")) => {
                return Health::Failed(message(it, "its names are taken"));
            }
            (Some("Established"), Some("False")) if it["reason"] != "Installing" => {
                return Health::Failed(message(it, "it cannot be established"));
            }
            (Some("Established"), Some("True")) => return Health::Current,
            _ => {}
        }
    }
    Health::InProgress("it is not established yet".to_owned())
}
