//! `labels`, `commonLabels` and `commonAnnotations`, with the selectors where they belong.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::{Config, FieldSpec, Specs};
use super::fields::{Made, each, split};
use super::file::Labels;
use super::resources::Resources;
use crate::Result;

/// Puts labels or annotations to the mappings that field specs mean.
pub(super) fn add(
    resources: &mut Resources,
    texts: &BTreeMap<String, String>,
    specs: &Specs,
) -> Result<(), String> {
    if texts.is_empty() {
        return Ok(());
    }
    for resource in resources.as_mut() {
        let id = resource.shown();
        let specs: Vec<FieldSpec> = specs.of(&resource.id()).into_iter().cloned().collect();
        let mut shared: Vec<Vec<String>> = vec![Vec::new(); texts.len()];
        for spec in &specs {
            // Of each mapping that is met, which of the texts are new to it.
            let mut added: Vec<Vec<bool>> = Vec::new();
            resource.change(|resource| {
                each(resource.value_mut(), spec, Made::Mapping, &mut |found| match found {
                    Value::Object(map) => {
                        let insert = |(key, text): (&String, &String)| {
                            map.insert(key.clone(), text.as_str().into()).is_none()
                        };
                        added.push(texts.iter().map(insert).collect());
                        Ok(())
                    }
                    other => Err(format!("of {id} it is {other}, which takes no labels")),
                })
            })?;
            for (place, added) in
                places(resource.value(), &split(&spec.path, '/')).iter().zip(added)
            {
                for ((key, shared), _) in
                    texts.keys().zip(&mut shared).zip(added).filter(|(_, is_new)| *is_new)
                {
                    shared.push(format!("{place}/{}", escaped(key)));
                }
            }
        }
        shared.iter_mut().for_each(|pointers| pointers.sort());
        resource.shared.extend(shared.into_iter().filter(|pointers| pointers.len() > 1));
    }
    Ok(())
}

/// The JSON pointers that a path means, in the order in which [`each`] goes through lists.
fn places(value: &Value, path: &[String]) -> Vec<String> {
    let Some((key, rest)) = path.split_first() else { return vec![String::new()] };
    let below = |step: &str, value, path| -> Vec<String> {
        places(value, path).iter().map(|place| format!("/{step}{place}")).collect()
    };
    match value {
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            elements.flat_map(|(n, element)| below(&n.to_string(), element, path)).collect()
        }
        Value::Object(map) => {
            let key = key.strip_suffix("[]").unwrap_or(key);
            map.get(key).map_or_else(Vec::new, |value| below(&escaped(key), value, rest))
        }
        _ => Vec::new(),
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The fields of an entry of `labels`: metadata always, templates and selectors when asked for.
pub(super) fn specs(entry: &Labels, config: &Config) -> Result<Specs> {
    let own = entry.fields.with(&config.labels)?;
    if entry.include_selectors {
        return own.with(&config.common_labels);
    }
    let templates = match entry.include_templates {
        true => own.with(&config.template_labels)?,
        false => own,
    };
    templates.with(&metadata("metadata/labels"))
}

/// One field that every object has.
pub(super) fn metadata(path: &str) -> Specs {
    Specs(vec![FieldSpec { path: path.to_owned(), create: true, ..FieldSpec::default() }])
}
