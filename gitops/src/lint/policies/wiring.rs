//! That objects find one another.

use serde_json::Value;

use super::super::pod::Pod;
use super::super::scope::{Scope, is_served, selects};
use super::{Issue, issue};
use crate::{Object, rules};

/// Kinds that an app makes in a namespace.
const OF_APPS: [&str; 15] = [
    "Pod",
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
    "Service",
    "Secret",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Ingress",
];

pub(super) fn namespace(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let is_default = matches!(object.namespace(), "" | "default");
    let is_theirs = matches!(
        (object.kind(), object.name()),
        ("ServiceAccount", "default") | ("Service", "kubernetes")
    );
    issue(
        is_default && OF_APPS.contains(&object.kind()) && !is_theirs,
        "/metadata/namespace",
        "it is in the namespace default",
    )
}

pub(super) fn account_exists(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let Some(pod) = Pod::of(object) else { return Vec::new() };
    let name = pod.get("/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
    let is_there = scope.beside(object, "ServiceAccount").any(|account| account.name() == name);
    issue(
        !matches!(name, "" | "default") && !is_there,
        format!("{}/serviceAccountName", pod.at),
        format!("there is no ServiceAccount {name} in its namespace"),
    )
}

pub(super) fn network_policy(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let Some(pod) = Pod::of(object) else { return Vec::new() };
    let policies: Vec<&Object> = scope
        .beside(object, "NetworkPolicy")
        .filter(|policy| selects(policy.at("/spec/podSelector"), pod.labels))
        .collect();
    let has = |direction: &str, by_default: fn(&Object) -> bool| {
        policies.iter().any(|policy| {
            match policy.at("/spec/policyTypes").and_then(Value::as_array) {
                Some(types) if !types.is_empty() => types.iter().any(|it| it == direction),
                _ => by_default(policy),
            }
        })
    };
    let ingress = has("Ingress", |_| true);
    let egress = has("Egress", |policy| policy.at("/spec/egress").is_some());
    let what = match (ingress, egress) {
        (true, true) => return Vec::new(),
        (false, false) => "no NetworkPolicy selects its pods",
        (true, false) => "no NetworkPolicy says where its pods may send to (Egress)",
        (false, true) => "no NetworkPolicy says who may send to its pods (Ingress)",
    };
    issue(true, "", what)
}

pub(super) fn policy_selects(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let selector = object.at("/spec/podSelector");
    let is_wrong = object.kind() == "NetworkPolicy"
        && !scope.objects.iter().any(|other| {
            other.namespace() == object.namespace()
                && labels(other).is_some_and(|labels| selects(selector, labels))
        });
    issue(is_wrong, "/spec/podSelector", "it selects no pods")
}

pub(super) fn selector(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let is_one = matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet");
    let selector = object.at("/spec/selector");
    let labels = object.at("/spec/template/metadata/labels");
    let is_empty = selector.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
    issue(
        is_one && (is_empty || !selects(selector, labels)),
        "/spec/selector",
        "the selector does not select its own pods",
    )
}

pub(super) fn service_selects(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let selector = object.at("/spec/selector").filter(is_some);
    let is_wrong =
        object.kind() == "Service" && selector.is_some() && served(object, scope).is_empty();
    issue(is_wrong, "/spec/selector", "it selects no pods")
}

pub(super) fn service_port(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    if object.kind() != "Service" {
        return Vec::new();
    }
    let mut issues = Vec::new();
    let ports = object.at("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    for (n, port) in ports.enumerate() {
        let target = port.get("targetPort").unwrap_or(&port["port"]);
        // A number may be any port that a container opens; a name has to be there.
        for workload in served(object, scope).iter().filter(|_| target.is_string()) {
            let containers = Pod::of(workload).map(|pod| pod.containers()).unwrap_or_default();
            let has = containers
                .iter()
                .any(|it| it.list("/ports").iter().any(|it| it["name"] == *target));
            if !has {
                issues.push((
                    format!("/spec/ports/{n}/targetPort"),
                    format!("{} has no port {target}", workload.id()),
                ));
            }
        }
    }
    issues
}

pub(super) fn service_type(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let is_wrong =
        object.kind() == "Service" && object.at("/spec/type") == Some(&Value::from("NodePort"));
    issue(is_wrong, "/spec/type", "it is a NodePort")
}

pub(super) fn ingress(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    if object.kind() != "Ingress" {
        return Vec::new();
    }
    let list = |value: &Value, pointer: &str| -> Vec<Value> {
        value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut named =
        vec![("/spec/defaultBackend".to_owned(), object.at("/spec/defaultBackend").cloned())];
    for (n, rule) in list(object.value(), "/spec/rules").iter().enumerate() {
        for (m, path) in list(rule, "/http/paths").iter().enumerate() {
            let at = format!("/spec/rules/{n}/http/paths/{m}/backend");
            named.push((at, path.get("backend").cloned()));
        }
    }
    let is_there = |name: &str| scope.beside(object, "Service").any(|it| it.name() == name);
    named
        .into_iter()
        .filter_map(|(at, backend)| {
            let name = backend?.pointer("/service/name")?.as_str()?.to_owned();
            (!is_there(&name)).then(|| (at, format!("there is no Service {name} in its namespace")))
        })
        .collect()
}

pub(super) fn autoscaler(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let text = |field: &str| {
        object
            .at(&format!("/spec/scaleTargetRef/{field}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (kind, name) = (text("kind"), text("name"));
    let is_there = scope.beside(object, kind).any(|it| it.name() == name);
    issue(
        object.kind() == "HorizontalPodAutoscaler" && !is_there,
        "/spec/scaleTargetRef",
        format!("there is no {kind} {name} in its namespace"),
    )
}

pub(super) fn port_names(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let mut named: Vec<(String, Value)> = Vec::new();
    for container in Pod::of(object).iter().flat_map(Pod::containers) {
        for (n, port) in container.list("/ports").iter().enumerate() {
            named.push((format!("{}/ports/{n}/name", container.at), port["name"].clone()));
        }
    }
    if object.kind() == "Service" {
        let ports = object.at("/spec/ports").and_then(Value::as_array).into_iter().flatten();
        for (n, port) in ports.enumerate() {
            named.push((format!("/spec/ports/{n}/targetPort"), port["targetPort"].clone()));
        }
    }
    named
        .into_iter()
        .filter_map(|(at, name)| {
            let name = name.as_str()?;
            let why = rules::port_name(name).err()?;
            Some((at, format!("{name} is no name of a port: {why}")))
        })
        .collect()
}

pub(super) fn label_values(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let mut issues = Vec::new();
    for at in ["/metadata/labels", "/spec/template/metadata/labels"] {
        for (key, value) in object.at(at).and_then(Value::as_object).into_iter().flatten() {
            if let Some(why) = value.as_str().and_then(|text| rules::label_value(text).err()) {
                let key = key.replace('~', "~0").replace('/', "~1");
                issues.push((
                    format!("{at}/{key}"),
                    format!("{value} is no value of a label: {why}"),
                ));
            }
        }
    }
    issues
}

/// What a Service sends to.
fn served<'a>(service: &Object, scope: &Scope<'a>) -> Vec<&'a Object> {
    let selector = service.at("/spec/selector");
    let objects = scope.objects.iter().copied();
    objects
        .filter(|other| {
            other.namespace() == service.namespace()
                && labels(other).is_some_and(|labels| is_served(selector, labels))
        })
        .collect()
}

/// The labels of the pods that an object makes.
fn labels(object: &Object) -> Option<Option<&Value>> {
    match object.kind() {
        "Pod" => Some(object.at("/metadata/labels")),
        _ => Pod::of(object).map(|pod| pod.labels),
    }
}

fn is_some(value: &&Value) -> bool {
    value.as_object().is_some_and(|map| !map.is_empty())
}
