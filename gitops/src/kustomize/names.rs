//! `namePrefix`, `nameSuffix`, `namespace` and `replicas`.

use serde_json::Value;

use super::fields;
use super::file::Replicas;
use super::resource::{Resource, equal, is_cluster_scoped};
use crate::{Error, Result};

/// `namespace`: objects move into it, a Namespace is renamed to it, and what names their namespace
/// follows.
pub(super) fn set_namespace(resources: &mut [Resource], namespace: &str) -> Result<()> {
    for n in 0..resources.len() {
        let resource = &mut resources[n];
        resource.remember();
        move_into(resource, namespace);
        let id = resource.id();
        if resources.iter().filter(|other| equal(&other.id(), &id)).count() > 1 {
            return Err(Error::Kustomize {
                field: "namespace",
                message: format!("two objects become {id}"),
            });
        }
    }
    Ok(())
}

fn move_into(resource: &mut Resource, namespace: &str) {
    let id = resource.id();
    let value = resource.object.value_mut();
    if !is_cluster_scoped(&id) {
        value["metadata"]["namespace"] = namespace.into();
    }
    let mut set = |path: &[&str], create| {
        fields::each(value, path, create, &mut |found| *found = namespace.into())
    };
    match (id.group.as_str(), id.kind.as_str()) {
        (_, "Namespace") => set(&["metadata", "name"], true),
        (_, "RoleBinding" | "ClusterRoleBinding") => set_default_subjects(value, namespace),
        ("apiregistration.k8s.io", "APIService") => set(&["spec", "service", "namespace"], true),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            set(&["spec", "conversion", "webhook", "clientConfig", "service", "namespace"], false)
        }
        ("admissionregistration.k8s.io", _) => {
            set(&["webhooks", "clientConfig", "service", "namespace"], false)
        }
        _ => {}
    }
}

/// Of a binding's subjects only the account `default` moves by itself; others follow the account
/// they name.
fn set_default_subjects(binding: &mut Value, namespace: &str) {
    fields::each(binding, &["subjects"], false, &mut |subjects| {
        let Value::Array(subjects) = subjects else { return };
        for subject in subjects.iter_mut().filter(|subject| subject["name"] == "default") {
            subject["namespace"] = namespace.into();
        }
    });
}

/// `namePrefix` and `nameSuffix`: what other objects refer to by a name that is fixed elsewhere
/// keeps it.
pub(super) fn affix(resources: &mut [Resource], prefix: &str, suffix: &str) {
    for resource in resources.iter_mut().filter(|resource| is_renamed(resource)) {
        for (affix, is_prefix) in [(prefix, true), (suffix, false)] {
            if affix.is_empty() {
                continue;
            }
            resource.remember();
            let name = resource.object.name();
            let name = if is_prefix { format!("{affix}{name}") } else { format!("{name}{affix}") };
            resource.set_name(&name);
            let list = if is_prefix { &mut resource.prefixes } else { &mut resource.suffixes };
            list.push(affix.to_owned());
        }
    }
}

fn is_renamed(resource: &Resource) -> bool {
    let id = resource.original_id();
    !matches!(id.kind.as_str(), "CustomResourceDefinition" | "Namespace")
        && (id.group.as_str(), id.kind.as_str()) != ("apiregistration.k8s.io", "APIService")
}

/// `replicas`: by the name that a workload has or had.
pub(super) fn set_replicas(resources: &mut [Resource], replicas: &Replicas) -> Result<()> {
    const KINDS: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];
    let mut found = false;
    for resource in resources.iter_mut().filter(|resource| KINDS.contains(&resource.object.kind()))
    {
        let named = resource.object.name() == replicas.name
            || resource.previous.iter().any(|id| id.name == replicas.name);
        if named {
            found = true;
            fields::each(resource.object.value_mut(), &["spec", "replicas"], true, &mut |found| {
                *found = replicas.count.into()
            });
        }
    }
    match found {
        true => Ok(()),
        false => Err(Error::Kustomize {
            field: "replicas",
            message: format!(
                "no Deployment, ReplicaSet, StatefulSet or ReplicationController is called {}",
                replicas.name
            ),
        }),
    }
}
