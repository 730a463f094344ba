//! `labels`, `commonLabels` and `commonAnnotations`, with the selectors where they belong.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::{Config, FieldSpec, Specs};
use super::fields::{Made, each};
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
        for spec in specs.of(&resource.id()) {
            let id = resource.shown();
            each(resource.value_mut(), spec, Made::Mapping, &mut |found| match found {
                Value::Object(map) => {
                    for (key, text) in texts {
                        map.insert(key.clone(), text.as_str().into());
                    }
                    Ok(())
                }
                other => Err(format!("of {id} it is {other}, which takes no labels")),
            })?;
        }
    }
    Ok(())
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
