//! `sortOptions`: the order in which a build prints its objects.

use super::file::{Order, SortOptions};
use super::resource::Resource;
use crate::{Error, ObjectId, Result};

/// Kinds that come first, so that what others need is there before them.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come last, since they judge all others.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts objects in kustomize's legacy order, or leaves them as they came when the kustomization
/// says so.
pub(super) fn sort(resources: &mut [Resource], options: &SortOptions) -> Result<()> {
    let legacy = options.legacy_sort_options.as_ref();
    match options.order {
        Order::Fifo if legacy.is_some() => Err(Error::Kustomize {
            field: "sortOptions",
            message: "legacySortOptions stand beside the order fifo".to_owned(),
        }),
        Order::Fifo => Ok(()),
        Order::Legacy => {
            let first = legacy.map_or_else(
                || FIRST.map(str::to_owned).to_vec(),
                |legacy| legacy.order_first.clone(),
            );
            let last = legacy.map_or_else(
                || LAST.map(str::to_owned).to_vec(),
                |legacy| legacy.order_last.clone(),
            );
            resources.sort_by_cached_key(|resource| key(&resource.id(), &first, &last));
            Ok(())
        }
    }
}

/// Rank of the kind, then group, version and kind, then namespace and name; `~` sorts what is
/// absent behind what is there.
fn key(id: &ObjectId, first: &[String], last: &[String]) -> (i64, String, String) {
    let place = |kinds: &[String]| {
        kinds.iter().rposition(|kind| *kind == id.kind).map(|place| place as i64)
    };
    let rank = match (place(first), place(last)) {
        (_, Some(place)) => 1 + place,
        (Some(place), None) => place - first.len() as i64,
        (None, None) => 0,
    };
    let or = |text: &str, absent: &str| {
        if text.is_empty() { absent.to_owned() } else { text.to_owned() }
    };
    let gvk = format!("{}_{}_{}", or(&id.group, "~G"), or(&id.version, "~V"), id.kind);
    (rank, gvk, format!("{}|{}", or(&id.namespace, "~X"), or(&id.name, "~N")))
}
