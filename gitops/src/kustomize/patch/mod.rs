//! `patches`, in both kinds: strategic merge and JSON 6902.

mod json;
pub(super) mod select;
mod strategic;

use serde_json::{Map, Value};

use self::json::Operation;
use super::file::{Patch, PatchOptions, Selector};
use super::load::{self, texts_of};
use super::loader::Loader;
use super::resource::Resource;
use super::resources::Resources;
use super::schema::Schema;
use crate::yaml::{self, Dialect};
use crate::{Error, Object, Result};

/// A patch that has been read, as `patches` has it.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// Strategic merge patches; without a target they name their objects themselves.
    Strategic { patches: Vec<Resource>, target: Option<Selector>, options: PatchOptions },
    /// Operations on the objects that a target means.
    Operations { operations: Vec<Operation>, target: Selector, remembers: bool },
}

/// Reads an entry of `patches` (PatchTransformer.go).
pub(super) fn prepare(loader: &Loader<'_>, patch: &Patch) -> Result<Prepared> {
    let inline = patch.patch.trim();
    let text = match (patch.path.as_str(), inline) {
        ("", "") => return Err(wrong("a patch has a path or a patch".to_owned())),
        ("", text) => text,
        (path, "") => loader.text(path)?,
        _ => return Err(wrong("a patch has either a path or a patch".to_owned())),
    };
    let (patches, operations) = (load::patches(text), json::parse(text));
    match (patches, operations) {
        (Ok(patches), Ok(operations)) if !patches.is_empty() && !operations.is_empty() => {
            Err(wrong("a patch is both objects and operations".to_owned()))
        }
        (Ok(patches), _) => {
            if patch.target.is_some() && patches.len() > 1 {
                return Err(wrong("a patch of several objects has no target".to_owned()));
            }
            let (target, options) = (patch.target.clone(), patch.options);
            Ok(Prepared::Strategic { patches, target, options })
        }
        (Err(_), Ok(operations)) => match &patch.target {
            Some(target) => {
                Ok(Prepared::Operations { operations, target: target.clone(), remembers: true })
            }
            None => Err(wrong("a JSON patch needs a target".to_owned())),
        },
        (Err(of_objects), Err(of_operations)) => {
            let is_list = text.trim_start().starts_with(['-', '[']);
            let reason = if is_list { of_operations } else { of_objects };
            Err(match patch.path.as_str() {
                "" => wrong(format!("the patch is neither objects nor operations: {reason}")),
                path => reason.in_file(path),
            })
        }
    }
}

/// Reads an entry of `patchesJson6902`.
pub(super) fn prepare_json(loader: &Loader<'_>, patch: &Patch) -> Result<Prepared> {
    let text = match (patch.path.as_str(), patch.patch.as_str()) {
        ("", "") => return Err(wrong("a patch has a path or a patch".to_owned())),
        ("", text) => text,
        (path, "") => loader.text(path)?,
        _ => return Err(wrong("a patch has either a path or a patch".to_owned())),
    };
    let operations = json::parse(text)?;
    match &patch.target {
        _ if operations.is_empty() => Err(wrong("a patch is empty".to_owned())),
        Some(target) if !target.name.is_empty() => {
            Ok(Prepared::Operations { operations, target: target.clone(), remembers: false })
        }
        _ => Err(wrong("a JSON patch needs a target with a name".to_owned())),
    }
}

/// Reads `patchesStrategicMerge`: files, or the patches themselves.
pub(super) fn prepare_merges<'a>(
    loader: &Loader<'_>,
    entries: impl IntoIterator<Item = &'a String>,
    inline: &str,
) -> Result<Vec<Resource>> {
    let mut patches = Vec::new();
    for entry in entries {
        match load::patches(entry) {
            Ok(inline) => patches.extend(inline),
            Err(_) if !entry.contains('\n') => {
                let read = load::patches(loader.text(entry)?);
                patches.extend(read.map_err(|error| error.in_file(entry))?);
            }
            Err(error) => return Err(error),
        }
    }
    patches.extend(load::patches(inline)?);
    match patches.is_empty() {
        true => Err(wrong("the patches are empty".to_owned())),
        false => Ok(patches),
    }
}

/// Applies strategic merge patches, each to the object that it names.
pub(super) fn merge_all(
    resources: &mut Resources,
    patches: &[Resource],
    schema: &Schema,
) -> Result<()> {
    for patch in patches {
        let n = named(resources, patch)?;
        merge_selected(resources, &[n], patch, PatchOptions::default(), schema)?;
    }
    Ok(())
}

impl Prepared {
    pub(super) fn apply(&self, resources: &mut Resources, schema: &Schema) -> Result<()> {
        match self {
            Self::Strategic { patches, target: Some(target), options } => {
                let Some(patch) = patches.first() else { return Ok(()) };
                let selected = select::select(resources, target)?;
                merge_selected(resources, &selected, patch, *options, schema)
            }
            Self::Strategic { patches, target: None, options } => {
                for patch in patches {
                    let n = named(resources, patch)?;
                    resources.change(n, |it| it.change(|it| merge(it, patch, *options, schema)))?;
                }
                resources.drop_gone();
                Ok(())
            }
            Self::Operations { operations, target, remembers } => {
                for n in select::select(resources, target)? {
                    resources.change(n, |target| operate(target, operations, *remembers))?;
                }
                Ok(())
            }
        }
    }
}

fn wrong(message: String) -> Error {
    Error::Kustomize { field: "patches", message }
}

/// The place of the object that a patch names.
fn named(resources: &mut Resources, patch: &Resource) -> Result<usize> {
    let id = patch.id();
    let called = resources.called(id.name).to_vec();
    let mut matches = called.into_iter().filter(|n| {
        let other = &resources.as_slice()[*n];
        !other.is_gone() && other.was(&id)
    });
    match (matches.next(), matches.next()) {
        (Some(n), None) => Ok(n),
        (None, _) => Err(wrong(format!(
            "there is no {} of {} to patch",
            patch.shown(),
            patch.object.api_version()
        ))),
        _ => Err(wrong(format!("{} is there several times", patch.shown()))),
    }
}

/// Merges a patch into objects of whatever name. Its labels and annotations are texts then; every
/// identity must be there once afterwards.
fn merge_selected(
    resources: &mut Resources,
    selected: &[usize],
    patch: &Resource,
    options: PatchOptions,
    schema: &Schema,
) -> Result<()> {
    let mut patch = patch.clone();
    let blanks = std::mem::take(&mut patch.blanks);
    for field in ["labels", "annotations"] {
        texts_of(patch.value_mut(), field, &blanks);
    }
    for n in selected {
        let api_version = resources.as_slice()[*n].object.api_version().to_owned();
        patch.value_mut()["apiVersion"] = api_version.into();
        resources.change(*n, |it| it.change(|it| merge(it, &patch, options, schema)))?;
    }
    resources.drop_gone();
    match options.allow_name_change || options.allow_kind_change {
        true => resources.check(),
        false => Ok(()),
    }
}

/// Merges a patch into one object. Name, namespace and kind stay, unless the options say otherwise;
/// a deleted object becomes null.
fn merge(
    resource: &mut Resource,
    patch: &Resource,
    options: PatchOptions,
    schema: &Schema,
) -> Result<()> {
    let id = resource.shown();
    let failed = |source| Error::Patch { id: Box::new(id.clone()), source: Box::new(source) };
    if options.allow_name_change || options.allow_kind_change {
        resource.remember();
    }
    let blanks = std::mem::take(&mut resource.blanks);
    let value = resource.value_mut();
    let merged = strategic::merge(value.take(), patch.value(), &blanks, schema).map_err(failed)?;
    let Some(mut merged) = merged else { return Ok(()) };
    if !options.allow_kind_change {
        merged["kind"] = id.kind.as_str().into();
    }
    if !merged["metadata"].is_object() {
        merged["metadata"] = Value::Object(Map::new());
    }
    if !options.allow_name_change && !id.name.is_empty() {
        merged["metadata"]["name"] = id.name.as_str().into();
    }
    match id.namespace.as_str() {
        "" => drop(merged["metadata"].as_object_mut().map(|it| it.remove("namespace"))),
        namespace => merged["metadata"]["namespace"] = namespace.into(),
    }
    let object = Object::of_kustomize(merged)
        .map_err(|reason| failed(Error::NotAnObject { number: 1, reason }))?;
    *resource.value_mut() = object.into_value();
    Ok(())
}

fn operate(resource: &mut Resource, operations: &[Operation], remembers: bool) -> Result<()> {
    let id = resource.shown();
    let failed = |source| Error::Patch { id: Box::new(id.clone()), source: Box::new(source) };
    if remembers {
        resource.remember();
    }
    resource.blanks.clear();
    resource.shared.clear();
    let mut value = resource.value_mut().take();
    json::apply(&mut value, operations).map_err(failed)?;
    texts_of(&mut value, "annotations", &[]);
    let object = Object::of_kustomize(value)
        .map_err(|reason| failed(Error::NotAnObject { number: 1, reason }))?;
    *resource.value_mut() = object.into_value();
    Ok(())
}

/// The first document of a text that is for a reader of JSON.
fn first_document(text: &str) -> Result<Option<Value>> {
    Ok(yaml::parse_as(text, Dialect::Json)?.into_iter().next())
}
