//! Objects of a text, as kustomize takes them (api/resource/factory.go).

use std::collections::VecDeque;

use serde_json::Value;

use super::fields;
use super::resource::Resource;
use crate::yaml::{self, Document};
use crate::{Error, Object, Result};

/// The objects of a text. A list is taken apart, its items come after the text's other objects;
/// empty documents are left out.
pub(super) fn objects(text: &str) -> Result<Vec<Resource>> {
    let mut resources = patches(text)?;
    for resource in &mut resources {
        if let Some(Value::Object(metadata)) = resource.value_mut().get_mut("metadata")
            && metadata.get("annotations").is_some_and(is_none)
        {
            metadata.remove("annotations");
        }
    }
    Ok(resources)
}

/// The same of patches, in which null means something.
pub(super) fn patches(text: &str) -> Result<Vec<Resource>> {
    check_separators(text)?;
    let mut found = Vec::new();
    let documents = yaml::parse_objects(text)?.into_iter().enumerate();
    let mut open: VecDeque<(usize, Document)> = documents.collect();
    while let Some((n, document)) = open.pop_front() {
        match items(document) {
            Ok(items) => {
                let item = |value| (n, Document { value, blanks: Vec::new(), raw: Vec::new() });
                open.extend(items.into_iter().map(item));
            }
            Err(document) => found.extend(resource(n, document)?),
        }
    }
    Ok(found)
}

/// The items of a list, or the document when it is none.
fn items(mut document: Document) -> Result<Vec<Value>, Document> {
    let kind = document.value.get("kind").and_then(Value::as_str);
    if !kind.is_some_and(|kind| kind.ends_with("List")) {
        return Err(document);
    }
    match document.value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Null) => Ok(Vec::new()),
        None => Err(document),
        Some(other) => {
            document.value["items"] = other;
            Err(document)
        }
    }
}

fn resource(n: usize, document: Document) -> Result<Option<Resource>> {
    let Document { value, blanks, raw } = document;
    if value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(None);
    }
    let wrong = |reason| Error::NotAnObject { number: n + 1, reason };
    let mut resource = Resource::new(Object::of_kustomize(value).map_err(wrong)?);
    resource.blanks = blanks;
    resource.keep_raw(raw);
    Ok(Some(resource))
}

/// Behind the mark between two documents kustomize takes nothing but a comment.
fn check_separators(text: &str) -> Result<()> {
    for (n, line) in text.lines().enumerate().skip(1) {
        let Some(rest) = line.strip_prefix("---") else { continue };
        if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
            let message = format!("{} stands between two documents", line.trim_end());
            return Err(Error::Yaml { line: n + 1, column: 1, message });
        }
    }
    Ok(())
}

fn is_none(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Makes texts of the values of `metadata.labels` or `metadata.annotations`; none is no field.
pub(super) fn texts_of(object: &mut Value, field: &str, blanks: &[String]) {
    for blank in blanks.iter().filter(|it| it.starts_with(&format!("/metadata/{field}/"))) {
        if let Some(value) = object.pointer_mut(blank).filter(|value| value.is_null()) {
            *value = "".into();
        }
    }
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
    match metadata.get_mut(field) {
        Some(Value::Object(map)) if !map.is_empty() => {
            for value in map.values_mut().filter(|value| !value.is_string()) {
                let text = match *value {
                    Value::Null => "null".to_owned(),
                    // A text that is none has no text.
                    Value::Array(_) | Value::Object(_) => String::new(),
                    ref scalar => fields::text(scalar),
                };
                *value = text.into();
            }
        }
        Some(Value::Object(_) | Value::Null) => drop(metadata.remove(field)),
        _ => {}
    }
}
