//! JSON patches (RFC 6902), as `gopkg.in/evanphx/json-patch.v4` applies them.

use serde::Deserialize;
use serde_json::Value;

use super::{first_document, wrong};
use crate::Result;

/// One operation of RFC 6902.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::kustomize) struct Operation {
    op: String,
    path: String,
    from: Option<String>,
    value: Value,
}

/// Reads a patch; one that starts with a bracket is JSON, any other YAML.
pub(super) fn parse(text: &str) -> Result<Vec<Operation>> {
    let value = match text.starts_with('[') {
        true => serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?,
        false => first_document(text)?.unwrap_or_default(),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        value => serde_json::from_value(value).map_err(|error| wrong(error.to_string())),
    }
}

/// Applies a JSON patch.
pub(super) fn apply(document: &mut Value, operations: &[Operation]) -> Result<()> {
    for operation in operations {
        run(document, operation)
            .map_err(|reason| wrong(format!("{} {}: {reason}", operation.op, operation.path)))?;
    }
    Ok(())
}

fn run(document: &mut Value, operation: &Operation) -> Result<(), String> {
    let Operation { op, path, from, value } = operation;
    let from = || from.as_deref().ok_or("from is missing");
    match op.as_str() {
        "add" => add(document, path, value.clone()),
        "remove" => remove(document, path).map(|_| ()),
        "replace" => replace(document, path, value.clone()),
        "move" => {
            let moved = remove(document, from()?)?;
            add(document, path, moved)
        }
        "copy" => {
            let copied = get(document, from()?)?.cloned().unwrap_or_default();
            add(document, path, copied)
        }
        "test" => {
            let there = if path.is_empty() { Some(&*document) } else { get(document, path)? };
            match there.unwrap_or(&Value::Null) == value {
                true => Ok(()),
                false => Err("the value differs".to_owned()),
            }
        }
        _ => Err("this operation does not exist".to_owned()),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (parent, key) = split(path)?;
    match find_mut(document, parent) {
        Some(Value::Object(map)) => {
            map.insert(key, value);
            Ok(())
        }
        Some(Value::Array(elements)) => {
            let place = match key.as_str() {
                "-" => elements.len(),
                key => index(key, elements.len() + 1)?,
            };
            if place > elements.len() {
                return Err(format!("the list has only {} elements", elements.len()));
            }
            elements.insert(place, value);
            Ok(())
        }
        _ => Err("its parent is not there".to_owned()),
    }
}

/// A key that is not there is added; an element of a list must be there.
fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        return match value {
            Value::Object(_) | Value::Array(_) => {
                *document = value;
                Ok(())
            }
            _ => Err("an object cannot be replaced by a scalar".to_owned()),
        };
    }
    let (parent, key) = split(path)?;
    match find_mut(document, parent) {
        Some(Value::Object(map)) => {
            map.insert(key, value);
            Ok(())
        }
        Some(Value::Array(elements)) => {
            let n = elements.len();
            let place = index(&key, n)?;
            *elements.get_mut(place).ok_or("there is nothing at this path")? = value;
            Ok(())
        }
        _ => Err("its parent is not there".to_owned()),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, key) = split(path)?;
    let removed = match find_mut(document, parent) {
        Some(Value::Object(map)) => map.remove(&key),
        Some(Value::Array(elements)) => {
            let place = index(&key, elements.len())?;
            (place < elements.len()).then(|| elements.remove(place))
        }
        _ => None,
    };
    removed.ok_or_else(|| "there is nothing at this path".to_owned())
}

/// The value at a path whose parent must be there; none when its key is missing.
fn get<'a>(document: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let (parent, key) = split(path)?;
    match find(document, parent) {
        Some(Value::Object(map)) => Ok(map.get(&key)),
        Some(Value::Array(elements)) => {
            let place = index(&key, elements.len())?;
            elements.get(place).map(Some).ok_or_else(|| "there is nothing at this path".to_owned())
        }
        _ => Err("its parent is not there".to_owned()),
    }
}

fn find<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(document, |value, part| match value {
        Value::Object(map) => map.get(&unescaped(part)),
        Value::Array(elements) => elements.get(index(part, elements.len()).ok()?),
        _ => None,
    })
}

fn find_mut<'a>(document: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('/').skip(1).try_fold(document, |value, part| match value {
        Value::Object(map) => map.get_mut(&unescaped(part)),
        Value::Array(elements) => {
            let n = elements.len();
            elements.get_mut(index(part, n).ok()?)
        }
        _ => None,
    })
}

/// The pointer to the parent, and the last step with its escapes undone.
fn split(path: &str) -> Result<(&str, String), String> {
    let (parent, key) = path.rsplit_once('/').ok_or("the path leads to no field")?;
    Ok((parent, unescaped(key)))
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// A place in a list; a negative one counts from the end.
fn index(key: &str, n: usize) -> Result<usize, String> {
    let wrong = || format!("{key:?} is no place in a list");
    let place: i64 = key.parse().map_err(|_| wrong())?;
    let place = if place < 0 { place + n as i64 } else { place };
    usize::try_from(place).map_err(|_| wrong())
}
