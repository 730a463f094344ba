//! `patches`, in both kinds: strategic merge and JSON 6902.

mod json;
pub(super) mod select;
mod strategic;

use serde_json::{Map, Value};

use super::file::{Patch, PatchOptions};
use super::loader::Loader;
use super::resource::{Resource, equal};
use crate::{Error, Object, ObjectId, Result, yaml};

/// Applies the patches of one kustomization.
pub(super) struct Patcher<'a> {
    pub(super) loader: Loader<'a>,
}

impl Patcher<'_> {
    /// An entry of `patchesStrategicMerge`: a file, or the patch itself.
    pub(super) fn merge_text(&self, resources: &mut Vec<Resource>, entry: &str) -> Result<()> {
        let text = if entry.contains('\n') { entry } else { self.file(entry)? };
        yaml::parse_all(text)?
            .iter()
            .try_for_each(|document| merge_by_name(resources, document, PatchOptions::default()))
    }

    /// An entry of `patches` or `patchesJson6902`.
    pub(super) fn apply(&self, resources: &mut Vec<Resource>, patch: &Patch) -> Result<()> {
        let text = match (&patch.path, &patch.patch) {
            (Some(path), None) => self.file(path)?,
            (None, Some(text)) => text,
            _ => return Err(wrong("a patch has either a path or a patch".to_owned())),
        };
        let documents = yaml::parse_all(text).map_err(|error| {
            patch.path.as_deref().map_or(error, |_| wrong("the patch is not YAML".to_owned()))
        })?;
        if documents.is_empty() {
            return Err(wrong("a patch is empty".to_owned()));
        }
        for document in &documents {
            match (&patch.target, document) {
                (Some(selector), document) => {
                    let selected = select::select(resources, selector)?;
                    for n in selected {
                        apply_one(&mut resources[n], document, patch.options)?;
                    }
                    drop_deleted(resources);
                }
                (None, Value::Array(_)) => {
                    return Err(wrong("a JSON patch needs a target".to_owned()));
                }
                (None, document) => merge_by_name(resources, document, patch.options)?,
            }
        }
        Ok(())
    }

    fn file(&self, path: &str) -> Result<&str> {
        self.loader.text(path)
    }
}

fn wrong(message: String) -> Error {
    Error::Kustomize { field: "patches", message }
}

/// A strategic merge patch that names its object itself.
fn merge_by_name(
    resources: &mut Vec<Resource>,
    document: &Value,
    options: PatchOptions,
) -> Result<()> {
    let id = Object::from_value(document.clone())
        .map_err(|error| wrong(format!("a patch without a target names its object: {error}")))?
        .id();
    let matches: Vec<usize> = (0..resources.len()).filter(|n| resources[*n].was(&id)).collect();
    match matches.as_slice() {
        [n] => apply_one(&mut resources[*n], document, options)?,
        [] => return Err(wrong(format!("there is no {} of {} to patch", id, id.api_version()))),
        _ => return Err(wrong(format!("{id} is there several times"))),
    }
    drop_deleted(resources);
    Ok(())
}

/// Patches one object. Name, namespace and kind stay, unless the options say otherwise; a deleted
/// object becomes null.
fn apply_one(resource: &mut Resource, document: &Value, options: PatchOptions) -> Result<()> {
    let id = resource.id();
    let failed = |source| Error::Patch { id: Box::new(id.clone()), source: Box::new(source) };
    let value = resource.object.value().clone();
    let patched = match document {
        Value::Array(operations) => json::apply(value, operations).map_err(failed)?,
        Value::Object(_) => strategic::merge(value, document, &id).map_err(failed)?,
        _ => return Err(failed(wrong("a patch is a mapping or a list".to_owned()))),
    };
    *resource.object.value_mut() = match patched {
        Some(mut patched) => {
            if document.is_object() {
                keep_identity(&mut patched, &id, options);
            }
            let object = Object::from_value(patched).map_err(failed)?;
            if !equal(&object.id(), &id) {
                resource.previous.push(id);
            }
            object.into_value()
        }
        None => Value::Null,
    };
    Ok(())
}

fn keep_identity(patched: &mut Value, id: &ObjectId, options: PatchOptions) {
    patched["apiVersion"] = id.api_version().into();
    if !options.allow_kind_change {
        patched["kind"] = id.kind.as_str().into();
    }
    if !patched["metadata"].is_object() {
        patched["metadata"] = Value::Object(Map::new());
    }
    if !options.allow_name_change {
        patched["metadata"]["name"] = id.name.as_str().into();
    }
    if let Some(metadata) = patched["metadata"]
        .as_object_mut()
        .filter(|metadata| metadata.get("annotations") == Some(&Value::Object(Map::new())))
    {
        metadata.remove("annotations");
    }
    match id.namespace.as_str() {
        "" => {
            patched["metadata"]
                .as_object_mut()
                .expect("a mapping since the lines above")
                .remove("namespace");
        }
        namespace => patched["metadata"]["namespace"] = namespace.into(),
    }
}

fn drop_deleted(resources: &mut Vec<Resource>) {
    resources.retain(|resource| !resource.object.value().is_null());
}
