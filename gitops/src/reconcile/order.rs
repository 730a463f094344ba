//! The order in which objects are applied and deleted.

use std::cmp::Ordering;

use crate::ObjectId;

/// Kinds in the order in which Flux applies them: what others need first, what judges all others
/// last.
const KINDS: [&str; 34] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Job",
    "Pod",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
    "NetworkPolicy",
    "",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Whether an object defines what others are made of, so that it is applied in a stage of its own.
pub(super) fn is_definition(id: &ObjectId) -> bool {
    matches!(id.kind.as_str(), "CustomResourceDefinition" | "Namespace" | "ClusterRole")
}

/// The order of applying; deleting goes the other way round.
pub(super) fn compare(a: &ObjectId, b: &ObjectId) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| {
        (&a.kind, &a.namespace, &a.name, &a.group).cmp(&(&b.kind, &b.namespace, &b.name, &b.group))
    })
}

fn rank(id: &ObjectId) -> usize {
    let place = |kind: &str| KINDS.iter().position(|other| *other == kind);
    place(&id.kind).or_else(|| place("")).unwrap_or(KINDS.len())
}
