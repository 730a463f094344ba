//! Objects that refer to each other by few names, so that the references often meet.

use serde_json::{Value, json};

use super::random::Random;

pub(super) const NAMES: [&str; 4] = ["app", "web", "db", "cfg"];
pub(super) const NAMESPACES: [&str; 3] = ["one", "two", "default"];
pub(super) const IMAGES: [&str; 5] =
    ["nginx", "nginx:1.0", "reg.io/team/app:v1", "reg.io:5000/app", "app@sha256:abc0"];

/// Any object.
pub(super) fn any(random: &mut Random) -> Value {
    let mut object = match random.below(17) {
        0..=3 => workload(random),
        4 | 5 => config_map(random),
        6 => json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"k": "dg=="}}),
        7 | 8 => service(random),
        9 => {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "imagePullSecrets": [{"name": random.text(&NAMES)}]})
        }
        10 => binding(random),
        11 => role(random),
        12 => ingress(random),
        13 => json!({
            "apiVersion": random.text(&["autoscaling/v1", "autoscaling/v2"]),
            "kind": "HorizontalPodAutoscaler",
            "spec": {"maxReplicas": 3, "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": random.text(&["Deployment", "StatefulSet"]), "name": random.text(&NAMES),
            }},
        }),
        14 => custom(random),
        15 => json!({"apiVersion": "v1", "kind": "Namespace"}),
        _ => other(random),
    };
    object["metadata"] = metadata(random, object["kind"] == "Namespace");
    random.see(&object);
    object
}

fn metadata(random: &mut Random, is_namespace: bool) -> Value {
    let names: &[&str] = if is_namespace { &NAMESPACES } else { &NAMES };
    let mut metadata = json!({"name": random.text(names)});
    if !is_namespace && random.one_in(4) {
        metadata["namespace"] = random.text(&NAMESPACES);
    }
    let label = json!({"app": random.text(&NAMES)});
    random.maybe(3, &mut metadata, "labels", label);
    random.maybe(8, &mut metadata, "annotations", json!({"note": "x", "number": "8"}));
    random.maybe(
        40,
        &mut metadata,
        "annotations",
        json!({"config.kubernetes.io/local-config": "true"}),
    );
    metadata
}

fn workload(random: &mut Random) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": random.text(&NAMES)}}, "spec": pod(random)});
    match random.below(6) {
        0 | 1 => json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "app"}}, "template": template}}),
        2 => json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {
            "serviceName": random.text(&NAMES), "template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"storageClassName": random.text(&NAMES)}}]}}),
        3 => json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": template}}),
        4 => json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {
            "schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}}),
        _ => json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}),
    }
}

fn pod(random: &mut Random) -> Value {
    let containers: Vec<Value> = (0..=random.below(2)).map(|n| container(random, n)).collect();
    let mut pod = json!({"containers": containers});
    if random.one_in(3) {
        pod["initContainers"] = json!([container(random, 7)]);
    }
    let account = random.text(&NAMES);
    random.maybe(4, &mut pod, "serviceAccountName", account);
    let mut volumes = Vec::new();
    for (one_in, volume) in [
        (3, json!({"name": "a", "configMap": {"name": random.text(&NAMES)}})),
        (5, json!({"name": "b", "secret": {"secretName": random.text(&NAMES)}})),
        (6, json!({"name": "c", "persistentVolumeClaim": {"claimName": random.text(&NAMES)}})),
        (8, json!({"name": "d", "image": {"reference": random.text(&IMAGES)}})),
        (
            8,
            json!({"name": "e", "projected": {"sources": [
            {"configMap": {"name": random.text(&NAMES)}}, {"secret": {"name": random.text(&NAMES)}}]}}),
        ),
        (9, json!({"name": "f", "emptyDir": {}})),
    ] {
        if random.one_in(one_in) {
            volumes.push(volume);
        }
    }
    if !volumes.is_empty() {
        pod["volumes"] = volumes.into();
    }
    let spread = json!([{"topologyKey": "zone", "maxSkew": 1, "labelSelector": {"matchLabels": {"app": "app"}}}]);
    random.maybe(10, &mut pod, "topologySpreadConstraints", spread);
    pod
}

fn container(random: &mut Random, n: usize) -> Value {
    let mut container = json!({"name": format!("c{n}"), "image": random.text(&IMAGES)});
    let mut env = vec![json!({"name": "A", "value": "1"})];
    if random.one_in(2) {
        let (from, kind) = *random.of(&[("configMapKeyRef", "k"), ("secretKeyRef", "k")]);
        env.push(
            json!({"name": "B", "valueFrom": {from: {"name": random.text(&NAMES), "key": kind}}}),
        );
    }
    random.maybe(2, &mut container, "env", env.into());
    let from = json!([{"configMapRef": {"name": random.text(&NAMES)}}]);
    random.maybe(5, &mut container, "envFrom", from);
    random.maybe(
        3,
        &mut container,
        "ports",
        json!([{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP"}]),
    );
    random.maybe(4, &mut container, "args", json!(["--a", "$(NAME)"]));
    container
}

fn config_map(random: &mut Random) -> Value {
    let texts = ["v", "host.example.org:80", "yes", "8080", "1e3", "0x1F", "a\nb\n", "", "null"];
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let data = json!({"k": random.text(&texts), "name": random.text(&NAMES)});
    map["data"] = data;
    random.maybe(8, &mut map, "immutable", true.into());
    map
}

fn service(random: &mut Random) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "spec": {
        "ports": [{"port": 80, "name": "http"}]}});
    let selector = json!({"app": random.text(&NAMES)});
    random.maybe(2, &mut service["spec"], "selector", selector);
    service
}

fn binding(random: &mut Random) -> Value {
    let is_cluster = random.one_in(2);
    let mut subject =
        json!({"kind": "ServiceAccount", "name": random.text(&["app", "web", "default"])});
    if !random.one_in(4) {
        subject["namespace"] = random.text(&NAMESPACES);
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": if is_cluster { "ClusterRoleBinding" } else { "RoleBinding" },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
                    "kind": if is_cluster { "ClusterRole" } else { *random.of(&["Role", "ClusterRole"]) },
                    "name": random.text(&NAMES)},
        "subjects": [subject],
    })
}

fn role(random: &mut Random) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": random.text(&["Role", "ClusterRole"]),
           "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": [random.text(&NAMES)]}]})
}

fn ingress(random: &mut Random) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {
        "tls": [{"secretName": random.text(&NAMES), "hosts": ["a.example.org"]}],
        "rules": [{"host": "a.example.org", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": random.text(&NAMES), "port": {"number": 80}}}}]}}]}})
}

/// Of a kind that Kubernetes does not know: no lists are merged, no references are followed.
fn custom(random: &mut Random) -> Value {
    json!({"apiVersion": random.text(&["example.org/v1", "example.org/v1beta1"]), "kind": "Widget", "spec": {
        "size": random.of(&[json!(1), json!(1.5), json!("1"), json!(true), json!(null), json!([])]).clone(),
        "ref": {"name": random.text(&NAMES)},
        "containers": [{"name": "c0", "image": random.text(&IMAGES)}],
        "finalizers": ["a"]}})
}

fn other(random: &mut Random) -> Value {
    random.of(&[
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "app"}}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {"matchLabels": {"app": "app"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"storageClassName": "app", "volumeName": "web"}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "x", "parameters": {"secretName": "app"}}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "webhooks": [{"name": "a.b.c", "clientConfig": {"service": {"name": "app", "namespace": "one"}}}]}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {"group": "example.org", "names": {"kind": "Widget", "plural": "widgets"}, "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "app", "namespace": "one"}}}}}}),
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "spec": {"service": {"name": "app", "namespace": "one"}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"storageClassName": "app"}}),
    ]).clone()
}
