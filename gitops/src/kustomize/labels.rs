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
            resource.change(|resource| {
                each(resource.value_mut(), spec, Made::Mapping, &mut |found| match found {
                    Value::Object(map) => {
                        for ((key, text), shared) in texts.iter().zip(&mut shared) {
                            if map.insert(key.clone(), text.as_str().into()).is_none() {
                                shared.push(pointer(&spec.path, key));
                            }
                        }
                        Ok(())
                    }
                    other => Err(format!("of {id} it is {other}, which takes no labels")),
                })
            })?;
        }
        shared.iter_mut().for_each(|pointers| pointers.sort());
        resource.shared.extend(shared.into_iter().filter(|pointers| pointers.len() > 1));
    }
    Ok(())
}

/// The place of a key below a path. Within lists there is none, and nothing is shared.
fn pointer(path: &str, key: &str) -> String {
    let parts = split(path, '/').into_iter().chain([key.to_owned()]);
    parts.map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
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
