//! What changes objects, whether a field of a kustomization asks for it or a file of its own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::Specs;
use super::file::{Image, Replicas, Selector};
use super::names::{self, Namespace, Side};
use super::patch::{self, Prepared, select};
use super::resource::Resource;
use super::resources::Resources;
use super::schema::Schema;
use super::{fields, hash, images, labels, replacements};
use crate::{Error, Result};

/// A transformer with all that it needs.
#[derive(Clone, Debug)]
pub(super) enum Transformer {
    Merges(Vec<Resource>),
    Patch(Prepared),
    Namespace(Namespace),
    Affix { affix: String, side: Side, specs: Specs },
    Labels { labels: BTreeMap<String, String>, specs: Specs },
    Annotations { annotations: BTreeMap<String, String>, specs: Specs },
    Replicas { replicas: Replicas, specs: Specs },
    Image { image: Image, specs: Specs },
    Replacements(Vec<replacements::Entry>),
    Values { value: String, targets: Vec<ValueTarget> },
    Hash,
}

/// Where a `ValueAddTransformer` puts its value.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ValueTarget {
    selector: Option<Selector>,
    pub(super) field_path: String,
    /// Of the parts of a path, the one before which the value is put, from 1; 0 replaces the field.
    pub(super) file_path_position: i64,
}

impl Transformer {
    pub(super) fn apply(&self, resources: &mut Resources, schema: &Schema) -> Result<()> {
        let of = |field| move |message| Error::Kustomize { field, message };
        match self {
            Self::Merges(patches) => patch::merge_all(resources, patches, schema),
            Self::Patch(patch) => patch.apply(resources, schema),
            Self::Namespace(by) => names::set_namespace(resources, by),
            Self::Affix { affix, side, specs } => {
                let field = if *side == Side::Prefix { "namePrefix" } else { "nameSuffix" };
                names::affix(resources, affix, *side, specs).map_err(of(field))
            }
            Self::Labels { labels, specs } => {
                labels::add(resources, labels, specs).map_err(of("labels"))
            }
            Self::Annotations { annotations, specs } => {
                labels::add(resources, annotations, specs).map_err(of("commonAnnotations"))
            }
            Self::Replicas { replicas, specs } => {
                let Replicas { name, count } = replicas;
                names::set_replicas(resources, name, *count, specs).map_err(of("replicas"))
            }
            Self::Image { image, specs } => {
                images::set(resources, image, specs).map_err(of("images"))
            }
            Self::Replacements(entries) => replacements::apply(resources.as_mut(), entries),
            Self::Values { value, targets } => {
                targets.iter().try_for_each(|target| add_value(resources, value, target))
            }
            Self::Hash => {
                hash::add_to_names(resources);
                Ok(())
            }
        }
    }
}

fn add_value(resources: &mut Resources, value: &str, target: &ValueTarget) -> Result<()> {
    let selected = match &target.selector {
        Some(selector) => select::select(resources, selector)?,
        None => (0..resources.as_slice().len()).collect(),
    };
    let wrong = |message| Error::Kustomize { field: "ValueAddTransformer", message };
    for n in selected {
        let resource = &mut resources.as_mut()[n];
        if target.field_path == "metadata/namespace" {
            let by = Namespace { namespace: value.to_owned(), ..Namespace::default() };
            names::move_into(resource, &by).map_err(wrong)?;
            continue;
        }
        let mut place = resource.value_mut();
        for key in fields::split(&target.field_path, '/') {
            place = match place {
                Value::Object(map) => map.entry(key).or_insert(Value::Null),
                Value::Null => {
                    *place = Value::Object(serde_json::Map::new());
                    &mut place[key]
                }
                _ => return Err(wrong(format!("{}: {key} is in no mapping", target.field_path))),
            };
        }
        let new = match target.file_path_position {
            0 => value.to_owned(),
            n => with_part(&fields::text(place), n - 1, value),
        };
        fields::set_scalar(place, new.into()).map_err(wrong)?;
    }
    Ok(())
}

/// A path with one more part; an absolute one stays so.
fn with_part(path: &str, place: i64, part: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).collect();
    let place = usize::try_from(place).unwrap_or_default().min(parts.len());
    parts.insert(place, part);
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gets_one_more_part() {
        for (path, place, expected) in [
            ("", 0, "P"),
            ("/", 3, "/P"),
            ("pie", 0, "P/pie"),
            ("/pie", 0, "/P/pie"),
            ("raw", 1, "raw/P"),
            ("/a/b/c", 2, "/a/b/P/c"),
            ("a/b", 99, "a/b/P"),
        ] {
            assert_eq!(with_part(path, place, "P"), expected, "{path} {place}");
        }
    }
}
