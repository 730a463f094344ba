//! What an API server would refuse, and what this stand-in must, before an object is stored.

use gitops::Object;
use gitops::flux::{GitRepository, Kustomization};
use gitops::reconcile::Refusal;

use crate::Isolation;
use crate::spec::{self, Container, Deployment, Probe, Service, selects};
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

/// Kinds that live in a namespace.
const NAMESPACED: [&str; 13] = [
    "ConfigMap",
    "Deployment",
    "GitRepository",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Kustomization",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
];

/// Whether the object can enter the cluster.
pub(crate) fn check(object: &Object, store: &Store) -> Result<(), Refusal> {
    let (namespace, kind) = (object.namespace(), object.kind());
    if namespace.is_empty() && NAMESPACED.contains(&kind) {
        // An API server has no such path.
        return Err(Refusal::new("NotFound", "the server could not find the requested resource"));
    }
    if !namespace.is_empty() && !store.has_namespace(namespace) {
        let message = format!("namespaces \"{namespace}\" not found");
        return Err(Refusal::new("NotFound", message));
    }
    let problem = match kind {
        "Deployment" => deployment(object, store),
        "Service" => service(object),
        "Kustomization" | "GitRepository" => flux(object),
        kind if NOT_RUN.contains(&kind) => {
            Some(format!("this stand-in runs Deployments, and no {kind}"))
        }
        _ => None,
    };
    let group = object.id().group;
    let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let told = |why| format!("{full} \"{}\" is invalid: {why}", object.name());
    problem.map_or(Ok(()), |why| Err(Refusal::new("Invalid", told(why))))
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

fn deployment(object: &Object, store: &Store) -> Option<String> {
    let deployment: Deployment = match spec::read(object.value()) {
        Ok(deployment) => deployment,
        Err(error) => return Some(error),
    };
    let mut problems = problems(&deployment);
    let selector = "/spec/selector";
    if store.find(&object.id()).is_some_and(|live| live.at(selector) != object.at(selector)) {
        problems.push("spec.selector: field is immutable".to_owned());
    }
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Everything about it that an API server would refuse, or that the stand-in cannot run.
fn problems(deployment: &Deployment) -> Vec<String> {
    let spec = &deployment.spec;
    let (selector, pod) = (&spec.selector.match_labels, &spec.template.spec);
    let problems = [
        (selector.is_empty(), "spec.selector.matchLabels is empty"),
        (
            !selects(selector, &spec.template.metadata.labels),
            "spec.selector does not match the labels of spec.template",
        ),
        (
            !spec.selector.match_expressions.is_empty(),
            "this stand-in knows no spec.selector.matchExpressions",
        ),
        (spec.paused, "this stand-in knows no spec.paused"),
        (
            pod.containers.len() != 1 || !pod.init_containers.is_empty(),
            "this stand-in runs pods of one container, without init containers",
        ),
    ];
    let problems =
        problems.into_iter().filter(|(holds, _)| *holds).map(|(_, problem)| problem.to_owned());
    problems.chain(pod.containers.iter().flat_map(container)).collect()
}

fn container(container: &Container) -> Vec<String> {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("readinessProbe", &container.readiness_probe),
        ("livenessProbe", &container.liveness_probe),
    ];
    let unknown = probes
        .into_iter()
        .filter(|(_, probe)| probe.as_ref().is_some_and(|probe| !is_known(probe)));
    let unknown = unknown.map(|(name, _)| {
        format!("{name}: this stand-in knows tcpSocket, and httpGet of the pod itself")
    });
    unknown.chain(container.image.is_empty().then(|| "image is empty".to_owned())).collect()
}

fn is_known(probe: &Probe) -> bool {
    match (&probe.http_get, &probe.tcp_socket) {
        (Some(http), None) => http.host.is_empty() && matches!(http.scheme.as_str(), "" | "HTTP"),
        (None, Some(_)) => true,
        _ => false,
    }
}

/// What the template asks for and pods do not get.
pub(crate) fn unenforced(deployment: &Deployment, isolation: Isolation) -> Vec<&'static str> {
    let pod = &deployment.spec.template.spec;
    let any = |has: fn(&Container) -> bool| pod.containers.iter().any(has);
    let isolated = isolation == Isolation::Namespaces;
    let has_context =
        pod.security_context.is_some() || any(|container| container.security_context.is_some());
    let has_profile = pod.security_context().seccomp_profile.is_some();
    let other_volumes = pod.volumes.iter().any(|volume| volume.empty_dir.is_none());
    let hook = |container: &Container| {
        container.lifecycle.pre_stop.as_ref().is_some_and(|hook| hook.sleep.is_none())
    };
    [
        (any(|container| container.resources.is_some()), "memory and cpu limits"),
        (
            has_context && !isolated,
            "securityContext (user, capabilities, read-only root file system)",
        ),
        (has_profile && isolated, "seccompProfile"),
        (other_volumes && isolated, "volumes other than emptyDir"),
        (!pod.volumes.is_empty() && !isolated, "volumes"),
        (any(hook), "preStop hooks other than sleep"),
    ]
    .into_iter()
    .filter_map(|(asked, what)| asked.then_some(what))
    .collect()
}

fn service(object: &Object) -> Option<String> {
    match spec::read::<Service>(object.value()) {
        Err(error) => Some(error),
        Ok(service) if service.spec.ports.is_empty() => Some("spec.ports is empty".to_owned()),
        Ok(service) if service.spec.ports.iter().any(|port| port.port == 0) => {
            Some("spec.ports: a port is missing".to_owned())
        }
        Ok(service)
            if service
                .spec
                .ports
                .iter()
                .any(|port| !matches!(port.protocol.as_str(), "" | "TCP")) =>
        {
            Some("spec.ports: this stand-in knows TCP".to_owned())
        }
        Ok(_) => None,
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

    use serde_json::{Value, json};

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
        check("apps/v1", "Deployment", "default", json!({"replicas": "two"}), Some("invalid type"));
        check(
            "apps/v1",
            "Deployment",
            "default",
            json!({"selector": {}, "template": {}}),
            Some("is empty"),
        );
        check("v1", "Service", "default", json!({}), Some("spec.ports is empty"));
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
                {"name": "sidecar"}
            ]}}
        });
        let problems = problems(&read(spec)).join("; ");
        for part in ["does not match", "one container", "readinessProbe", "image is empty"] {
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
