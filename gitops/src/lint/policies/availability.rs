//! That somebody answers, whatever goes: a pod, a node, a release.

use serde_json::Value;

use super::super::pod::{Container, Pod};
use super::super::scope::{Scope, is_served, selects};
use super::{Issue, issue};
use crate::Object;

pub(super) fn readiness(pod: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    probe(pod, container, "readinessProbe")
}

pub(super) fn liveness(pod: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    probe(pod, container, "livenessProbe")
}

/// What ends by itself is not asked whether it is ready.
fn probe(pod: &Pod<'_>, container: &Container<'_>, field: &str) -> Vec<Issue> {
    let is_asked = !pod.is_job && !container.is_init;
    let is_there = container.get(&format!("/{field}")).is_some_and(Value::is_object);
    issue(is_asked && !is_there, container.at.clone(), format!("there is no {field}"))
}

pub(super) fn probes_differ(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let asked = |probe: &str, how: &str| container.get(&format!("/{probe}/{how}"));
    let is_same = |how: &str, what: &[&str]| {
        let (ready, live) = (asked("readinessProbe", how), asked("livenessProbe", how));
        ready.zip(live).is_some_and(|(ready, live)| {
            what.iter().all(|field| {
                ready.get(field).unwrap_or(&Value::Null) == live.get(field).unwrap_or(&Value::Null)
            })
        })
    };
    let is_wrong = is_same("httpGet", &["path", "port"])
        || is_same("tcpSocket", &["port"])
        || is_same("exec", &["command"])
        || is_same("grpc", &["port", "service"]);
    issue(
        is_wrong,
        format!("{}/livenessProbe", container.at),
        "livenessProbe and readinessProbe ask the same",
    )
}

pub(super) fn probe_ports(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let opened = container.list("/ports");
    let is_open = |port: &Value| {
        let same = |open: &Value| open["containerPort"] == *port || open["name"] == *port;
        opened.iter().any(same)
    };
    let mut issues = Vec::new();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        for how in ["httpGet", "tcpSocket", "grpc"] {
            let at = format!("/{probe}/{how}/port");
            let Some(port) = container.get(&at) else { continue };
            if !is_open(port) {
                issues.push((
                    format!("{}{at}", container.at),
                    format!("{probe} asks the port {port}, which the container does not have"),
                ));
            }
        }
    }
    issues
}

pub(super) fn rolling(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let strategy =
        object.at("/spec/strategy/type").and_then(Value::as_str).unwrap_or("RollingUpdate");
    let is_wrong = object.kind() == "Deployment" && strategy != "RollingUpdate";
    issue(is_wrong, "/spec/strategy", "the strategy is not RollingUpdate")
}

pub(super) fn replicas(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let labels = object.at("/spec/template/metadata/labels");
    let has_service =
        scope.beside(object, "Service").any(|it| is_served(it.at("/spec/selector"), labels));
    let is_wrong = object.kind() == "Deployment"
        && has_service
        && n_replicas(object) < 2
        && autoscaler(object, scope).is_none();
    issue(is_wrong, "/spec/replicas", "a single pod serves")
}

pub(super) fn anti_affinity(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    if !is_replicated(object) {
        return Vec::new();
    }
    let Some(pod) = Pod::of(object) else { return Vec::new() };
    let term = |term: &Value| {
        let is_node = term["topologyKey"] == "kubernetes.io/hostname";
        is_node && selects(term.get("labelSelector"), pod.labels)
    };
    let list = |pointer: &str| pod.get(pointer).and_then(Value::as_array).into_iter().flatten();
    let affinity = "/affinity/podAntiAffinity";
    let required = list(&format!("{affinity}/requiredDuringSchedulingIgnoredDuringExecution"));
    let preferred = list(&format!("{affinity}/preferredDuringSchedulingIgnoredDuringExecution"));
    let mut terms = required.chain(preferred.map(|it| &it["podAffinityTerm"]));
    let is_spread = terms.any(term) || list("/topologySpreadConstraints").any(term);
    issue(!is_spread, format!("{}/affinity", pod.at), "nothing keeps its pods on different nodes")
}

pub(super) fn budget(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let labels = object.at("/spec/template/metadata/labels");
    let has = scope
        .beside(object, "PodDisruptionBudget")
        .any(|budget| selects(budget.at("/spec/selector"), labels));
    issue(is_replicated(object) && !has, "", "no PodDisruptionBudget selects its pods")
}

pub(super) fn budget_says(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let says = |field: &str| object.at(&format!("/spec/{field}")).is_some();
    let is_wrong = is_budget(object) && !says("minAvailable") && !says("maxUnavailable");
    issue(is_wrong, "/spec", "neither minAvailable nor maxUnavailable is set")
}

pub(super) fn budget_allows(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    if !is_budget(object) {
        return Vec::new();
    }
    let is_none = |value: &Value| value == 0 || value == "0" || value == "0%";
    if object.at("/spec/maxUnavailable").is_some_and(is_none) {
        return issue(true, "/spec/maxUnavailable", "it never allows a pod to go");
    }
    let Some(least) = object.at("/spec/minAvailable") else { return Vec::new() };
    let selected = scope.objects.iter().filter(|it| {
        matches!(it.kind(), "Deployment" | "StatefulSet")
            && it.namespace() == object.namespace()
            && selects(object.at("/spec/selector"), it.at("/spec/template/metadata/labels"))
    });
    let blocks = |workload: &&Object| {
        let n = n_replicas(workload);
        least == "100%" || least.as_i64().is_some_and(|least| least >= n)
    };
    match selected.copied().find(blocks) {
        Some(workload) => issue(
            true,
            "/spec/minAvailable",
            format!("it never allows a pod of {} to go", workload.id()),
        ),
        None => Vec::new(),
    }
}

pub(super) fn budget_unhealthy(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    let is_set = object.at("/spec/unhealthyPodEvictionPolicy").is_some();
    issue(is_budget(object) && !is_set, "/spec", "set unhealthyPodEvictionPolicy to AlwaysAllow")
}

pub(super) fn autoscaled(object: &Object, scope: &Scope<'_>) -> Vec<Issue> {
    let is_wrong = object.at("/spec/replicas").is_some() && autoscaler(object, scope).is_some();
    issue(is_wrong, "/spec/replicas", "an autoscaler decides how many pods there are")
}

fn autoscaler<'a>(object: &Object, scope: &Scope<'a>) -> Option<&'a Object> {
    scope.beside(object, "HorizontalPodAutoscaler").find(|scaler| {
        let text = |field: &str| scaler.at(&format!("/spec/scaleTargetRef/{field}"));
        text("kind") == Some(&Value::from(object.kind()))
            && text("name") == Some(&Value::from(object.name()))
    })
}

fn is_budget(object: &Object) -> bool {
    object.kind() == "PodDisruptionBudget"
}

fn is_replicated(object: &Object) -> bool {
    matches!(object.kind(), "Deployment" | "StatefulSet") && n_replicas(object) > 1
}

fn n_replicas(object: &Object) -> i64 {
    object.at("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}
