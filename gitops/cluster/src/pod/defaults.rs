//! What an API server fills into a pod's spec, as far as `kubectl describe` shows it.

use serde_json::{Map, Value, json};

/// The template's spec with the defaults of Kubernetes, on our node.
/// Source: kubernetes, pkg/apis/core/v1/defaults.go.
pub(super) fn with_defaults(template: &Value) -> Value {
    let mut spec = template.as_object().cloned().unwrap_or_default();
    fill(
        &mut spec,
        json!({
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "serviceAccountName": "default",
            "securityContext": {},
        }),
    );
    spec.insert("nodeName".to_owned(), crate::NODE.into());
    for list in ["initContainers", "containers"] {
        each(&mut spec, list, container);
    }
    each(&mut spec, "volumes", |volume| {
        for kind in ["configMap", "secret"] {
            within(volume, kind, |source| fill(source, json!({"defaultMode": 0o644})));
        }
    });
    Value::Object(spec)
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    fill(
        container,
        json!({
            "imagePullPolicy": policy,
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "resources": {},
        }),
    );
    within(container, "resources", |resources| {
        // What is limited and not asked for is asked for as it is limited.
        let limits = resources.get("limits").filter(|it| it.is_object()).cloned();
        if let Some(limits) = limits {
            fill(resources, json!({"requests": {}}));
            within(resources, "requests", |requests| fill(requests, limits));
        }
    });
    each(container, "ports", |port| fill(port, json!({"protocol": "TCP"})));
    each(container, "env", |variable| {
        within(variable, "valueFrom", |from| {
            within(from, "fieldRef", |field| fill(field, json!({"apiVersion": "v1"})));
        });
    });
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        within(container, probe, |probe| {
            fill(
                probe,
                json!({
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                    "failureThreshold": 3,
                }),
            );
            within(probe, "httpGet", |http| fill(http, json!({"path": "/", "scheme": "HTTP"})));
        });
    }
}

/// Whether an image is named by the tag `latest`, or by nothing.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// Sets the fields that are not there.
fn fill(object: &mut Map<String, Value>, defaults: Value) {
    let Value::Object(defaults) = defaults else { return };
    for (name, value) in defaults {
        let field = object.entry(name).or_insert(Value::Null);
        if field.is_null() {
            *field = value;
        }
    }
}

fn within(
    object: &mut Map<String, Value>,
    name: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    if let Some(Value::Object(object)) = object.get_mut(name) {
        change(object);
    }
}

fn each(object: &mut Map<String, Value>, list: &str, change: impl Fn(&mut Map<String, Value>)) {
    let items = object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(Value::as_object_mut).for_each(change);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_limited_is_asked_for() {
        let resources = json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "10m"}});
        let spec = with_defaults(&json!({"containers": [{"name": "a", "resources": resources}]}));
        let requests = &spec["containers"][0]["resources"]["requests"];
        assert_eq!(*requests, json!({"cpu": "10m", "memory": "1Gi"}));
    }

    #[test]
    fn only_the_latest_image_is_always_pulled() {
        for (image, expected) in [
            ("a", true),
            ("host:5000/a", true),
            ("host:5000/a:latest", true),
            ("a:1", false),
            ("a@sha256:00", false),
            ("host/a:latest@sha256:00", false),
        ] {
            assert_eq!(is_latest(image), expected, "{image}");
        }
    }
}
