//! `labels`, `commonLabels` and `commonAnnotations`, with the selectors where they belong.

use std::collections::BTreeMap;

use super::fields;
use super::file::{FieldSpec, Labels};
use super::resource::Resource;
use crate::ObjectId;

/// A place of labels or annotations: API group and kind (empty for any), path, and whether it is
/// made where it is missing.
type Place = (&'static str, &'static str, &'static str, bool);

/// The labels of pod templates.
const TEMPLATES: [Place; 8] = [
    ("", "ReplicationController", "spec/template/metadata", true),
    ("", "Deployment", "spec/template/metadata", true),
    ("", "ReplicaSet", "spec/template/metadata", true),
    ("", "DaemonSet", "spec/template/metadata", true),
    ("apps", "StatefulSet", "spec/template/metadata", true),
    ("batch", "Job", "spec/template/metadata", true),
    ("batch", "CronJob", "spec/jobTemplate/metadata", true),
    ("batch", "CronJob", "spec/jobTemplate/spec/template/metadata", true),
];

/// Selectors that have to agree with those labels.
const SELECTORS: [Place; 12] = [
    ("", "Service", "spec/selector", true),
    ("", "ReplicationController", "spec/selector", true),
    ("", "Deployment", "spec/selector/matchLabels", true),
    ("", "ReplicaSet", "spec/selector/matchLabels", true),
    ("", "DaemonSet", "spec/selector/matchLabels", true),
    ("apps", "StatefulSet", "spec/selector/matchLabels", true),
    ("batch", "Job", "spec/selector/matchLabels", false),
    ("batch", "CronJob", "spec/jobTemplate/spec/selector/matchLabels", false),
    ("policy", "PodDisruptionBudget", "spec/selector/matchLabels", false),
    ("networking.k8s.io", "NetworkPolicy", "spec/podSelector/matchLabels", false),
    ("networking.k8s.io", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels", false),
    ("networking.k8s.io", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels", false),
];

/// Selectors within the pods of Deployments and StatefulSets, below `spec/template/spec`.
const POD_SELECTORS: [&str; 5] = [
    "affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
    "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
    "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
    "topologySpreadConstraints/labelSelector/matchLabels",
];

/// `labels`: metadata always, templates and selectors when asked for.
pub(super) fn add(resources: &mut [Resource], labels: &Labels) {
    for resource in resources {
        add_texts(resource, "metadata/labels", true, &labels.pairs);
        if labels.include_selectors || labels.include_templates {
            add_to_templates(resource, "labels", &labels.pairs);
            if is_at(&resource.id(), &("apps", "StatefulSet", "", true)) {
                add_texts(
                    resource,
                    "spec/volumeClaimTemplates[]/metadata/labels",
                    true,
                    &labels.pairs,
                );
            }
        }
        if labels.include_selectors {
            add_to_selectors(resource, &labels.pairs);
        }
        let id = resource.id();
        for field in labels.fields.iter().filter(|field| selects(field, &id)) {
            add_texts(resource, &field.path, field.create, &labels.pairs);
        }
    }
}

/// `commonAnnotations`: metadata and templates.
pub(super) fn annotate(resources: &mut [Resource], annotations: &BTreeMap<String, String>) {
    for resource in resources.iter_mut().filter(|_| !annotations.is_empty()) {
        add_texts(resource, "metadata/annotations", true, annotations);
        add_to_templates(resource, "annotations", annotations);
    }
}

fn add_to_templates(resource: &mut Resource, field: &str, texts: &BTreeMap<String, String>) {
    let id = resource.id();
    for (_, _, path, create) in TEMPLATES.iter().filter(|place| is_at(&id, place)) {
        add_texts(resource, &format!("{path}/{field}"), *create, texts);
    }
}

fn add_to_selectors(resource: &mut Resource, labels: &BTreeMap<String, String>) {
    let id = resource.id();
    for (_, _, path, create) in SELECTORS.iter().filter(|place| is_at(&id, place)) {
        add_texts(resource, path, *create, labels);
    }
    if id.group == "apps" && ["Deployment", "StatefulSet"].contains(&id.kind.as_str()) {
        for path in POD_SELECTORS {
            add_texts(resource, &format!("spec/template/spec/{path}"), false, labels);
        }
    }
}

fn add_texts(resource: &mut Resource, path: &str, create: bool, texts: &BTreeMap<String, String>) {
    let path = fields::split(path);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    fields::add_texts(resource.object.value_mut(), &path, create, texts);
}

/// Whether a place is one of this object; a Service and a ReplicationController are those of the
/// version v1.
fn is_at(id: &ObjectId, (group, kind, _, _): &Place) -> bool {
    let v1 = !["Service", "ReplicationController"].contains(kind) || id.version == "v1";
    id.kind == *kind && (group.is_empty() || id.group == *group) && v1
}

fn selects(field: &FieldSpec, id: &ObjectId) -> bool {
    let matches = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
    matches(&field.group, &id.group)
        && matches(&field.version, &id.version)
        && matches(&field.kind, &id.kind)
}
