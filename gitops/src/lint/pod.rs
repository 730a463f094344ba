//! The pods that an object makes, and their containers.

use serde_json::Value;

use crate::Object;

/// What an object makes pods of.
pub(super) struct Pod<'a> {
    /// The pod's spec, as a JSON pointer.
    pub(super) at: String,
    pub(super) spec: &'a Value,
    pub(super) labels: Option<&'a Value>,
    /// Whether it ends by itself.
    pub(super) is_job: bool,
}

/// A container of a pod.
pub(super) struct Container<'a> {
    /// As a JSON pointer.
    pub(super) at: String,
    pub(super) value: &'a Value,
    /// Whether it runs before the others.
    pub(super) is_init: bool,
}

impl<'a> Pod<'a> {
    pub(super) fn of(object: &'a Object) -> Option<Self> {
        if is_inference_service(object) {
            let at = "/spec/predictor".to_owned();
            let spec = object.at(&at).filter(|spec| spec.get("containers").is_some())?;
            return Some(Self { spec, labels: spec.get("labels"), is_job: false, at });
        }
        let template = match (object.api_version(), object.kind()) {
            ("v1", "Pod") => "",
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch/v1", "Job")
            | ("v1", "ReplicationController") => "/spec/template",
            ("batch/v1", "CronJob") => "/spec/jobTemplate/spec/template",
            _ => return None,
        };
        let at = format!("{template}/spec");
        Some(Self {
            spec: object.at(&at).filter(|spec| spec.is_object())?,
            labels: object.at(&format!("{template}/metadata/labels")),
            is_job: matches!(object.kind(), "Job" | "CronJob"),
            at,
        })
    }

    /// All containers, those that run first among them.
    pub(super) fn containers(&self) -> Vec<Container<'a>> {
        let list = |field: &str, is_init: bool| {
            let containers = self.spec.get(field).and_then(Value::as_array);
            let at = format!("{}/{field}", self.at);
            let containers = containers.into_iter().flatten().enumerate();
            containers
                .map(|(n, value)| Container { at: format!("{at}/{n}"), value, is_init })
                .collect::<Vec<_>>()
        };
        [list("containers", false), list("initContainers", true)].concat()
    }

    /// A value of the pod's spec.
    pub(super) fn get(&self, pointer: &str) -> Option<&'a Value> {
        self.spec.pointer(pointer).filter(|value| !value.is_null())
    }
}

/// What KServe makes pods of; where a runtime of KServe's own serves, there are no containers in it.
fn is_inference_service(object: &Object) -> bool {
    let group = object.api_version().split('/').next();
    (group, object.kind()) == (Some("serving.kserve.io"), "InferenceService")
}

impl<'a> Container<'a> {
    /// A value of the container.
    pub(super) fn get(&self, pointer: &str) -> Option<&'a Value> {
        self.value.pointer(pointer).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, pointer: &str) -> &'a str {
        self.get(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        self.get(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// What the container says, else what its pod says.
    pub(super) fn security(&self, pod: &Pod<'a>, field: &str) -> Option<&'a Value> {
        let pointer = format!("/securityContext/{field}");
        self.get(&pointer).or_else(|| pod.get(&pointer))
    }
}

impl Clone for Container<'_> {
    fn clone(&self) -> Self {
        Self { at: self.at.clone(), value: self.value, is_init: self.is_init }
    }
}
