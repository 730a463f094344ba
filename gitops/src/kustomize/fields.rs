//! Walks to the fields of an object that a field spec means (api/filters/fieldspec/fieldspec.go).

use serde_json::{Map, Value};

use super::config::FieldSpec;

/// What a missing last field is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Nothing,
    Scalar,
    Mapping,
}

/// Visits every value that a field spec means, of an object of its kind; lists on the way are walked
/// through.
///
/// With `create`, mappings that are missing on the way are made, and so is the last field; a key
/// written `key[]` is a list and never made. A scalar on the way is an error.
pub(super) fn each(
    object: &mut Value,
    spec: &FieldSpec,
    made: Made,
    visit: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let path = split(&spec.path, '/');
    let made = if spec.create { made } else { Made::Nothing };
    walk(object, &path, made, visit).map_err(|reason| format!("{}: {reason}", spec.path))
}

fn walk(
    value: &mut Value,
    path: &[String],
    made: Made,
    visit: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else { return visit(value) };
    match value {
        Value::Null => Ok(()),
        Value::Array(elements) => {
            elements.iter_mut().try_for_each(|element| walk(element, path, made, visit))
        }
        Value::Object(map) => {
            let (key, is_list) =
                key.strip_suffix("[]").map_or((key.as_str(), false), |key| (key, true));
            if key.is_empty() {
                return Err("a key is empty".to_owned());
            }
            let kind = match made {
                _ if is_list => Some(Value::Array(Vec::new())),
                Made::Nothing => None,
                Made::Scalar if rest.is_empty() => Some(Value::Null),
                _ => Some(Value::Object(Map::new())),
            };
            match (map.get(key), kind) {
                (None, Some(kind)) if !is_list => drop(map.insert(key.to_owned(), kind)),
                (Some(Value::Null), Some(kind)) => drop(map.insert(key.to_owned(), kind)),
                _ => {}
            }
            match map.get_mut(key) {
                Some(next) => walk(next, rest, made, visit),
                None => Ok(()),
            }
        }
        scalar => Err(format!("{key} is looked for in {scalar}")),
    }
}

/// Splits a path at its delimiter; one behind a backslash is part of a key.
pub(super) fn split(path: &str, delimiter: char) -> Vec<String> {
    let mut raw: Vec<&str> = path.split(delimiter).collect();
    if raw.len() > 1 && raw[0].is_empty() {
        raw.remove(0);
    }
    let mut parts: Vec<String> = Vec::new();
    for part in raw {
        match parts.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            None => parts.push(part.to_owned()),
        }
    }
    parts
}

/// Sets a scalar; anything else there is an error.
pub(super) fn set_scalar(found: &mut Value, value: Value) -> Result<(), String> {
    match found {
        Value::Array(_) | Value::Object(_) => Err("the field is no scalar".to_owned()),
        _ => {
            *found = value;
            Ok(())
        }
    }
}

/// The text of a scalar as it would stand in a file; nothing for null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
