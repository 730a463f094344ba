//! `namePrefix`, `nameSuffix`, `namespace` and `replicas`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::config::Specs;
use super::fields::{self, Made, each, set_scalar};
use super::resource::Resource;
use super::resources::Resources;
use crate::{Error, Result};

const NAME: &str = "metadata/name";

/// Before or behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Prefix,
    Suffix,
}

/// `namePrefix` and `nameSuffix`: what other objects refer to by a name that is fixed elsewhere
/// keeps it.
pub(super) fn affix(
    resources: &mut Resources,
    affix: &str,
    side: Side,
    specs: &Specs,
) -> Result<(), String> {
    for resource in resources.as_mut().iter_mut().filter(|resource| is_renamed(resource)) {
        for spec in specs.of(&resource.original()) {
            if spec.path == NAME && !affix.is_empty() {
                match side {
                    Side::Prefix => resource.prefixes.push(affix.to_owned()),
                    Side::Suffix => resource.suffixes.push(affix.to_owned()),
                }
                resource.remember();
            }
            if !spec.is_of(&resource.id()) {
                continue;
            }
            let mut put = |found: &mut Value| {
                let name = fields::text(found);
                let name = match side {
                    Side::Prefix => format!("{affix}{name}"),
                    Side::Suffix => format!("{name}{affix}"),
                };
                set_scalar(found, name.into())
            };
            match &*spec.path {
                // Shared with no other field.
                NAME => each(resource.value_mut(), spec, Made::Scalar, &mut put)?,
                _ => resource.change(|it| each(it.value_mut(), spec, Made::Scalar, &mut put))?,
            }
        }
    }
    Ok(())
}

fn is_renamed(resource: &Resource) -> bool {
    let id = resource.original();
    !id.name.is_empty()
        && !matches!(id.kind, "CustomResourceDefinition" | "Namespace")
        && (id.group, id.kind) != ("apiregistration.k8s.io", "APIService")
}

/// How `namespace` is set.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespace {
    pub(super) namespace: String,
    pub(super) specs: Specs,
    /// Only where there is none.
    pub(super) unset_only: bool,
    pub(super) subjects: Subjects,
}

/// Whose namespace in a binding moves by itself; others follow the account they name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Subjects {
    #[default]
    #[serde(alias = "")]
    DefaultOnly,
    AllServiceAccounts,
    None,
}

/// `namespace`: objects move into it, a Namespace is renamed to it, and what names their namespace
/// follows.
pub(super) fn set_namespace(resources: &mut Resources, by: &Namespace) -> Result<()> {
    if by.namespace.is_empty() {
        return Ok(());
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for resource in resources.iter() {
        *counts.entry(resource.id().key()).or_default() += 1;
    }
    for resource in resources.as_mut() {
        let before = resource.id().key();
        resource.remember();
        move_into(resource, by)
            .map_err(|message| Error::Kustomize { field: "namespace", message })?;
        *counts.entry(before).or_default() -= 1;
        let n = counts.entry(resource.id().key()).or_default();
        *n += 1;
        if *n > 1 {
            let message = format!("two objects become {}", resource.shown());
            return Err(Error::Kustomize { field: "namespace", message });
        }
    }
    Ok(())
}

/// Moves one object into a namespace.
pub(super) fn move_into(resource: &mut Resource, by: &Namespace) -> Result<(), String> {
    let set = |found: &mut Value| match by.unset_only && !fields::text(found).is_empty() {
        true => Ok(()),
        false => set_scalar(found, by.namespace.as_str().into()),
    };
    let is_core_v1 = resource.object.api_version() == "v1";
    if !resource.id().is_cluster_scoped() {
        set(&mut resource.value_mut()["metadata"]["namespace"])?;
    }
    let is_binding = ["RoleBinding", "ClusterRoleBinding"].contains(&resource.object.kind());
    if is_binding {
        set_subjects(resource.value_mut(), by.subjects, &set)?;
    }
    for spec in by.specs.iter() {
        let is_subject = ["RoleBinding", "ClusterRoleBinding"].contains(&spec.kind.as_str())
            && spec.path == "subjects/namespace";
        let is_left = spec.path == "metadata/namespace"
            || spec.path == NAME && !is_core_v1
            || is_binding && is_subject;
        if !is_left && spec.is_of(&resource.id()) {
            each(resource.value_mut(), spec, Made::Scalar, &mut |found| set(found))?;
        }
    }
    Ok(())
}

fn set_subjects(
    binding: &mut Value,
    which: Subjects,
    set: &dyn Fn(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some(Value::Array(subjects)) = binding.get_mut("subjects") else { return Ok(()) };
    for subject in subjects.iter_mut().filter(|subject| match which {
        Subjects::DefaultOnly => subject.get("name").is_some_and(|name| name == "default"),
        Subjects::AllServiceAccounts => {
            subject.get("kind").is_some_and(|kind| kind == "ServiceAccount")
        }
        Subjects::None => false,
    }) {
        set(&mut subject["namespace"])?;
    }
    Ok(())
}

/// `replicas`: by the name that a workload has or had.
pub(super) fn set_replicas(
    resources: &mut Resources,
    name: &str,
    count: i64,
    specs: &Specs,
) -> Result<(), String> {
    let mut found = false;
    for spec in specs.iter() {
        for resource in resources.as_mut() {
            if !resource.was_called(name)
                || !resource.ids().any(|id| id.name == name && spec.is_of(&id))
            {
                continue;
            }
            found = true;
            if spec.is_of(&resource.id()) {
                each(resource.value_mut(), spec, Made::Scalar, &mut |found| {
                    set_scalar(found, count.into())
                })?;
            }
        }
    }
    let kinds = || specs.iter().map(|spec| spec.kind.as_str()).collect::<Vec<_>>().join(", ");
    match found {
        true => Ok(()),
        false => Err(format!("no object of the kinds {} is called {name}", kinds())),
    }
}
