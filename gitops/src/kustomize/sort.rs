//! `sortOptions`: the order in which a build prints its objects.

use super::file::{Order, SortOptions};
use super::resource::Resource;
use super::resources::Resources;
use crate::{Error, Result};

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
pub(super) fn sort(resources: &mut Resources, options: &SortOptions) -> Result<()> {
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
            let first: Vec<&str> = first.iter().map(String::as_str).collect();
            let last: Vec<&str> = last.iter().map(String::as_str).collect();
            resources.check()?;
            resources.as_mut().sort_by_cached_key(|resource| key(resource, &first, &last));
            Ok(())
        }
    }
}

/// Rank of the kind, then group, version and kind, then namespace and name.
fn key(resource: &Resource, first: &[&str], last: &[&str]) -> (i64, String, String) {
    let id = resource.id();
    let gvk = match (id.group, id.kind) {
        // Kubernetes' own come before the namespaces of others.
        ("", "Namespace") if first.contains(&"Namespace") => String::new(),
        _ => in_words(id.group, id.version, id.kind),
    };
    let namespace = or(resource.object.namespace(), "~X");
    (rank(id.kind, first, last), gvk, format!("{namespace}|{}", or(id.name, "~N")))
}

/// The place of a kind among others, for tables.
pub(super) fn rank_of_kind(group: &str, version: &str, kind: &str) -> (i64, String) {
    (rank(kind, &FIRST, &LAST), in_words(group, version, kind))
}

fn rank(kind: &str, first: &[&str], last: &[&str]) -> i64 {
    let place =
        |kinds: &[&str]| kinds.iter().rposition(|other| *other == kind).map(|place| place as i64);
    match (place(first), place(last)) {
        (_, Some(place)) => 1 + place,
        (Some(place), None) => place - first.len() as i64,
        (None, None) => 0,
    }
}

/// `~` sorts what is absent behind what is there.
fn in_words(group: &str, version: &str, kind: &str) -> String {
    format!("{}_{}_{}", or(group, "~G"), or(version, "~V"), or(kind, "~K"))
}

fn or<'a>(text: &'a str, absent: &'a str) -> &'a str {
    if text.is_empty() { absent } else { text }
}
