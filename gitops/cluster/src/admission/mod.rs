//! What an API server would refuse, and what this stand-in must, before an object is stored.

mod data;
mod kinds;
mod metadata;
mod pod_spec;

use gitops::flux::{GitRepository, Kustomization};
use gitops::reconcile::Refusal;
use gitops::{Object, ObjectId};
use serde_json::{Value, json};

use self::kinds::Scope;
use crate::Isolation;
use crate::spec::{self, Container, Deployment, SecurityContext, Service, selects};
use crate::store::Store;

/// Kinds that run something, in a way that is not known here.
const NOT_RUN: [&str; 6] = ["CronJob", "DaemonSet", "Job", "Pod", "ReplicaSet", "StatefulSet"];
/// Kinds that are what they are by being stored, and those that a controller here acts on.
const ACTED_ON: [&str; 9] = [
    "ConfigMap",
    "CustomResourceDefinition",
    "Deployment",
    "GitRepository",
    "Kustomization",
    "Namespace",
    "Secret",
    "Service",
    "ServiceAccount",
];

/// Whether the object can enter the cluster: what an API server asks, in its order, and then what
/// this stand-in cannot do.
pub(crate) fn check(object: &Object, store: &Store) -> Result<(), Refusal> {
    let (id, namespace, kind) = (object.id(), object.namespace(), object.kind());
    match kinds::scope(&id, store) {
        None => {
            let version = id.api_version();
            let message = format!("no matches for kind \"{kind}\" in version \"{version}\"");
            return Err(Refusal::new("", message));
        }
        Some(Scope::Namespaced) if namespace.is_empty() => {
            // An API server has no such path.
            let message = "the server could not find the requested resource";
            return Err(Refusal::new("NotFound", message));
        }
        Some(_) => {}
    }
    if let Some(refusal) = data::mistyped(object).or_else(|| data::undecodable(object)) {
        return Err(refusal);
    }
    if !namespace.is_empty() && !store.has_namespace(namespace) {
        let message = format!("namespaces \"{namespace}\" not found");
        return Err(Refusal::new("NotFound", message));
    }
    let mut problems = metadata::problems(object);
    problems.extend(data::problems(object));
    problems.extend(match kind {
        "Deployment" => deployment(object, store),
        "Service" => service(object),
        "Kustomization" | "GitRepository" => flux(object).into_iter().collect(),
        kind if NOT_RUN.contains(&kind) => {
            vec![format!("this stand-in runs Deployments, and no {kind}")]
        }
        _ => Vec::new(),
    });
    match problems.len() {
        0 => Ok(()),
        1 => Err(invalid(&id, &problems[0])),
        _ => Err(invalid(&id, &format!("[{}]", problems.join(", ")))),
    }
}

fn invalid(id: &ObjectId, why: &str) -> Refusal {
    let ObjectId { group, kind, name, .. } = id;
    let kind = if group.is_empty() { kind.clone() } else { format!("{kind}.{group}") };
    Refusal::new("Invalid", format!("{kind} \"{name}\" is invalid: {why}"))
}

/// What is to be said of an object that is only stored.
pub(crate) fn notice(object: &Object) -> Option<&'static str> {
    if is_flux_component(object) {
        return Some("stored, but not run, since this stand-in is its own Flux");
    }
    let known = ACTED_ON.contains(&object.kind());
    (!known).then_some("stored, but nothing here acts on it")
}

/// Whether it is one of the controllers that a bootstrapped repository carries.
pub(crate) fn is_flux_component(object: &Object) -> bool {
    object.kind() == "Deployment"
        && object.namespace() == "flux-system"
        && object.label("app.kubernetes.io/part-of") == Some("flux")
}

fn deployment(object: &Object, store: &Store) -> Vec<String> {
    if let Some(n) = object.at("/spec/replicas").and_then(Value::as_i64).filter(|n| *n < 0) {
        let why = "must be greater than or equal to 0";
        return vec![format!("spec.replicas: Invalid value: {n}: {why}")];
    }
    let deployment: Deployment = match spec::read(object.value()) {
        Ok(deployment) => deployment,
        Err(error) => return vec![error],
    };
    let mut problems = problems(&deployment);
    let selector = "/spec/selector";
    let live = store.find(&object.id());
    if let Some(given) = live.and_then(|live| live.at(selector).cloned())
        && object.at(selector) != Some(&given)
    {
        let now = object.at(selector).unwrap_or(&Value::Null);
        problems.push(format!("spec.selector: Invalid value: {now}: field is immutable"));
    }
    problems
}

/// Everything about it that an API server would refuse, or that the stand-in cannot run.
fn problems(deployment: &Deployment) -> Vec<String> {
    let spec = &deployment.spec;
    let (selector, pod) = (&spec.selector.match_labels, &spec.template.spec);
    let labels = &spec.template.metadata.labels;
    let mut problems = Vec::new();
    if selector.is_empty() && spec.selector.match_expressions.is_empty() {
        problems.push("spec.selector: Required value".to_owned());
    }
    if selector.is_empty() || !selects(selector, labels) {
        let why = "`selector` does not match template `labels`";
        let labels = json!(labels);
        problems.push(format!("spec.template.metadata.labels: Invalid value: {labels}: {why}"));
    }
    if pod.containers.is_empty() {
        problems.push("spec.template.spec.containers: Required value".to_owned());
    }
    problems.extend(pod_spec::problems(pod));
    if spec.progress_deadline_seconds <= spec.min_ready_seconds {
        let seconds = spec.progress_deadline_seconds;
        let why = "must be greater than minReadySeconds";
        problems.push(format!("spec.progressDeadlineSeconds: Invalid value: {seconds}: {why}"));
    }
    let cannot = [
        (
            !spec.selector.match_expressions.is_empty(),
            "this stand-in knows no spec.selector.matchExpressions",
        ),
        (spec.paused, "this stand-in knows no spec.paused"),
    ];
    problems.extend(cannot.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why.to_owned()));
    problems
}

/// What the template asks for and pods do not get.
pub(crate) fn unenforced(deployment: &Deployment, isolation: Isolation) -> Vec<&'static str> {
    let pod = &deployment.spec.template.spec;
    let any = |has: fn(&Container) -> bool| pod.all_containers().any(has);
    let isolated = isolation == Isolation::Namespaces;
    let has_context =
        pod.security_context.is_some() || any(|container| container.security_context.is_some());
    let context = pod.security_context.as_ref();
    let has_profile = pod
        .all_containers()
        .any(|container| SecurityContext::of(context, container).seccomp_profile.is_some());
    let other_volumes = pod.volumes.iter().any(|volume| {
        volume.empty_dir.is_none()
            && volume.image.is_none()
            && volume.config_map.is_none()
            && volume.secret.is_none()
    });
    let hook = |container: &Container| {
        container.lifecycle.pre_stop.as_ref().is_some_and(|hook| hook.sleep.is_none())
    };
    let own_grace = |container: &Container| {
        let probes = [&container.startup_probe, &container.liveness_probe].into_iter().flatten();
        probes.into_iter().any(|probe| probe.termination_grace_period_seconds.is_some())
    };
    [
        (any(|container| container.resources.is_some()), "memory and cpu limits"),
        (
            has_context && !isolated,
            "securityContext (user, capabilities, read-only root file system)",
        ),
        (has_profile && isolated, "seccompProfile"),
        (other_volumes && isolated, "volumes other than emptyDir, image, configMap and secret"),
        (!pod.volumes.is_empty() && !isolated, "volumes"),
        (any(hook), "preStop hooks other than sleep"),
        (any(|container| container.lifecycle.post_start.is_some()), "postStart hooks"),
        (any(own_grace), "terminationGracePeriodSeconds of probes"),
    ]
    .into_iter()
    .filter_map(|(asked, what)| asked.then_some(what))
    .collect()
}

fn service(object: &Object) -> Vec<String> {
    let empty = Vec::new();
    let ports = object.at("/spec/ports").and_then(Value::as_array).unwrap_or(&empty);
    let mut problems = Vec::new();
    if ports.is_empty() {
        problems.push("spec.ports: Required value".to_owned());
    }
    for (n, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{n}]");
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            problems.push(format!("{field}.name: Required value"));
        }
        let number = port["port"].as_i64().unwrap_or(0);
        let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
        let range = "must be between 1 and 65535, inclusive";
        for (name, value) in [("port", Some(number)), ("targetPort", target.as_i64())] {
            if let Some(value) = value.filter(|it| !(1..=65535).contains(it)) {
                problems.push(format!("{field}.{name}: Invalid value: {value}: {range}"));
            }
        }
    }
    if !problems.is_empty() {
        return problems;
    }
    match spec::read::<Service>(object.value()) {
        Err(error) => vec![error],
        Ok(service) => {
            let is_tcp = |protocol: &str| matches!(protocol, "" | "TCP");
            let all = service.spec.ports.iter().all(|port| is_tcp(&port.protocol));
            let why = "spec.ports: this stand-in knows TCP".to_owned();
            if all { Vec::new() } else { vec![why] }
        }
    }
}

/// Flux' own objects are read strictly: a field that is misspelt is named. One that is only not
/// supported here concerns nobody but its Kustomization, whose status says so.
fn flux(object: &Object) -> Option<String> {
    let kustomization = Kustomization::read(object).err();
    let source = GitRepository::read(object).err();
    let wrong = kustomization.or(source);
    wrong.filter(|it| !matches!(it, gitops::Error::FluxField { .. })).map(|it| it.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(api_version: &str, kind: &str, namespace: &str, spec: Value, expected: Option<&str>) {
        let store = Store::new(Arc::default()).unwrap();
        let object = Object::from_value(json!({
            "apiVersion": api_version, "kind": kind, "spec": spec,
            "metadata": {"name": "a", "namespace": namespace},
        }))
        .unwrap();
        let refusal = super::check(&object, &store).err().map(|it| it.message);
        match (refusal, expected) {
            (None, None) => {}
            (Some(why), Some(part)) => assert!(why.contains(part), "{why}"),
            (why, expected) => panic!("{why:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn what_cannot_enter_is_refused_with_the_reason() {
        check("v1", "ConfigMap", "default", json!({}), None);
        check("v1", "Service", "", json!({}), Some("could not find the requested resource"));
        check("v1", "ConfigMap", "nowhere", json!({}), Some("namespaces \"nowhere\" not found"));
        check("apps/v1", "StatefulSet", "default", json!({}), Some("no StatefulSet"));
        check(
            "apps/v1",
            "Deployment",
            "default",
            json!({"replicas": "two"}),
            Some("expected numeric (int or float), got string"),
        );
        check(
            "apps/v1",
            "Deployment",
            "default",
            json!({"selector": {}, "template": {}}),
            Some("spec.selector: Required value"),
        );
        check("v1", "Service", "default", json!({}), Some("spec.ports: Required value"));
        check("v1", "Service", "default", json!({"ports": [{"port": 80}]}), None);
        check(
            "v1",
            "Service",
            "default",
            json!({"ports": [{"port": 53, "protocol": "UDP"}]}),
            Some("knows TCP"),
        );
        check(
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            "default",
            json!({"paths": "a"}),
            Some("paths"),
        );
    }

    /// What kube-apiserver 1.36.4 says, as `cargo xtask interop --only flux` compares it.
    #[test]
    fn an_object_is_refused_in_the_words_of_an_api_server() {
        let store = Store::new(Arc::default()).unwrap();
        let map = |more: &str, data: &str| {
            format!(
                "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: default{more}}}, data: {data}}}"
            )
        };
        let service = |name: &str, ports: &str| {
            format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, spec: {{ports: {ports}}}}}"
            )
        };
        let deployment = |spec: &str, label: &str, container: &str| {
            format!(
                "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a, namespace: default}}, spec: {{{spec}, selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: {label}}}}}, spec: {{containers: [{container}]}}}}}}}}"
            )
        };
        let good = "{name: c, image: i}";
        let subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        let range = "must be between 1 and 65535, inclusive";
        for (object, reason, message) in [
            (map("", "{a: b}").replace("name: a,", "name: Bad_Name,"), "Invalid", format!("ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": {subdomain}")),
            (map(&format!(", labels: {{a: {}}}", "x".repeat(64)), "{}"), "Invalid", format!("ConfigMap \"a\" is invalid: metadata.labels: Invalid value: \"{}\": must be no more than 63 bytes", "x".repeat(64))),
            (map("", "{a: 5}"), "", "failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .data.a: expected string, got &value.valueUnstructured{Value:5}".to_owned()),
            (map("", "{}").replace("v1", "v7"), "", "no matches for kind \"ConfigMap\" in version \"v7\"".to_owned()),
            ("{apiVersion: example.com/v1, kind: Unicorn, metadata: {name: a, namespace: default}}".to_owned(), "", "no matches for kind \"Unicorn\" in version \"example.com/v1\"".to_owned()),
            (service("a.b", "[{port: 80}]"), "Invalid", "Service \"a.b\" is invalid: metadata.name: Invalid value: \"a.b\": must not contain dots".to_owned()),
            (service("a", "[]"), "Invalid", "Service \"a\" is invalid: spec.ports: Required value".to_owned()),
            (service("a", "[{port: 70000}]"), "Invalid", format!("Service \"a\" is invalid: [spec.ports[0].port: Invalid value: 70000: {range}, spec.ports[0].targetPort: Invalid value: 70000: {range}]")),
            (service("a", "[{port: 80}, {port: 81}]"), "Invalid", "Service \"a\" is invalid: [spec.ports[0].name: Required value, spec.ports[1].name: Required value]".to_owned()),
            (deployment("replicas: -1", "b", good), "Invalid", "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0".to_owned()),
            (deployment("replicas: two", "b", good), "", "failed to create typed patch object (default/a; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string".to_owned()),
            (deployment("replicas: 1", "c", good), "Invalid", "Deployment.apps \"a\" is invalid: spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`".to_owned()),
            (deployment("progressDeadlineSeconds: 5, minReadySeconds: 5", "b", good), "Invalid", "Deployment.apps \"a\" is invalid: spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds".to_owned()),
            (deployment("replicas: 1", "b", ""), "Invalid", "Deployment.apps \"a\" is invalid: spec.template.spec.containers: Required value".to_owned()),
            ("{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: default}, data: {a: '!'}}".to_owned(), "", "failed to convert new object (default/a; /v1, Kind=Secret) to proper version: unable to convert unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 data at input byte 0".to_owned()),
        ] {
            let refusal = super::check(&object.parse().unwrap(), &store).unwrap_err();
            assert_eq!((refusal.reason, refusal.message), (reason, message), "{object}");
        }
    }

    #[test]
    fn what_a_kustomization_cannot_have_here_is_its_own_concern() {
        let store = Store::new(Arc::default()).unwrap();
        let object = "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: a, namespace: default}, spec: {interval: 5m, prune: true, path: ../x, force: true, sourceRef: {kind: GitRepository, name: a}}}";
        assert_eq!(super::check(&object.parse().unwrap(), &store), Ok(()));
    }

    #[test]
    fn the_selector_of_a_deployment_stays() {
        let store = Store::new(Arc::default()).unwrap();
        let deployment = |app: &str| {
            Object::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "default"},
                "spec": {"selector": {"matchLabels": {"app": app}}, "template": {
                    "metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
                }},
            }))
            .unwrap()
        };
        store.apply(&deployment("a")).unwrap();
        assert_eq!(super::check(&deployment("a"), &store), Ok(()));
        assert!(super::check(&deployment("b"), &store).unwrap_err().message.contains("immutable"));
    }

    fn read(spec: Value) -> Deployment {
        spec::read(&json!({"metadata": {"name": "a"}, "spec": spec})).unwrap()
    }

    #[test]
    fn what_cannot_run_is_said_all_at_once() {
        let spec = json!({
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "b"}}, "spec": {"containers": [
                {"name": "server", "image": "x", "readinessProbe": {"exec": {"command": ["true"]}}},
                {"name": "server"}
            ], "initContainers": [
                {"name": "first", "image": "x", "livenessProbe": {"tcpSocket": {"port": 1}}},
                {"name": "second", "image": "x", "restartPolicy": "Never"},
            ], "restartPolicy": "OnFailure"}}
        });
        let problems = problems(&read(spec)).join("; ");
        for part in [
            "does not match",
            "containers[0].readinessProbe: this stand-in",
            "containers[1].image: Required value",
            "containers[1].name: Duplicate value: \"server\"",
            "spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
            "initContainers[0].livenessProbe: Forbidden: may not be set for init containers",
            "initContainers[1].restartPolicy: this stand-in",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }

    #[test]
    fn what_processes_do_not_enforce_is_named() {
        let spec = json!({
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"spec": {"volumes": [{"name": "tmp", "emptyDir": {}}], "containers": [
                {"name": "server", "image": "x", "resources": {"limits": {"memory": "1Gi"}}}
            ]}}
        });
        let deployment = read(spec);
        let plain = ["memory and cpu limits", "volumes"];
        assert_eq!(unenforced(&deployment, Isolation::None), plain);
        assert_eq!(unenforced(&deployment, Isolation::Namespaces), plain[..1]);
    }
}
