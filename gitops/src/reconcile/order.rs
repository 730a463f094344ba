//! The order in which objects are applied and deleted, and the stages of applying: those of Flux'
//! `ssa`.

use std::cmp::Ordering;

use crate::{Object, ObjectId};

/// Kinds that are applied before all others, in this order. Those that are named nowhere come
/// behind them, volumes and DaemonSets among them, sorted by group and kind.
const FIRST: [&str; 23] = [
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
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// What judges all others comes last.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Objects that are applied together, once those before them are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// What defines kinds, places and rights.
    Definitions,
    /// Classes of volumes, ingresses and the like.
    Classes,
    /// All others.
    Rest,
}

impl Stage {
    pub(super) const ALL: [Self; 3] = [Self::Definitions, Self::Classes, Self::Rest];

    pub(super) fn of(object: &Object) -> Self {
        let id = object.id();
        match (id.group.as_str(), id.kind.as_str()) {
            ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("rbac.authorization.k8s.io", "ClusterRole")
            | ("", "Namespace") => Self::Definitions,
            (_, kind) if kind.ends_with("Class") => Self::Classes,
            _ => Self::Rest,
        }
    }
}

/// The order of applying; deleting goes the other way round.
pub(super) fn compare(a: &ObjectId, b: &ObjectId) -> Ordering {
    let key = |id: &ObjectId| (rank(&id.kind), id.group.clone(), id.kind.clone());
    key(a).cmp(&key(b)).then_with(|| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
}

fn rank(kind: &str) -> usize {
    let last = LAST.iter().position(|other| *other == kind).map(|n| FIRST.len() + 1 + n);
    FIRST.iter().position(|other| *other == kind).or(last).unwrap_or(FIRST.len())
}
