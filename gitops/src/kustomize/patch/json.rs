//! JSON patches (RFC 6902).

use serde::Deserialize;
use serde_json::Value;

use super::wrong;
use crate::Result;

/// One operation of RFC 6902.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    from: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
}

/// Tells a null from nothing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Applies a JSON patch; the document always stays one.
pub(super) fn apply(mut document: Value, operations: &[Value]) -> Result<Option<Value>> {
    for operation in operations {
        let operation: Operation =
            serde_json::from_value(operation.clone()).map_err(|error| wrong(error.to_string()))?;
        let step = format!("{} {}", operation.op, operation.path);
        run(&mut document, operation).map_err(|reason| wrong(format!("{step}: {reason}")))?;
    }
    Ok(Some(document))
}

fn run(document: &mut Value, operation: Operation) -> Result<(), String> {
    let Operation { op, path, from, value } = operation;
    let value = || value.ok_or("a value is missing");
    let from = || from.ok_or("from is missing");
    match op.as_str() {
        "add" => add(document, &path, value()?),
        "remove" => remove(document, &path).map(|_| ()),
        "replace" => {
            let place = document.pointer_mut(&path).ok_or("there is nothing at this path")?;
            *place = value()?;
            Ok(())
        }
        "move" => {
            let moved = remove(document, &from()?)?;
            add(document, &path, moved)
        }
        "copy" => {
            let copied = document.pointer(&from()?).cloned().ok_or("there is nothing to copy")?;
            add(document, &path, copied)
        }
        "test" if document.pointer(&path) == Some(&value()?) => Ok(()),
        "test" => Err("the value differs".to_owned()),
        _ => Err("this operation does not exist".to_owned()),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((parent, key)) = split(path) else {
        *document = value;
        return Ok(());
    };
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(key, value);
            Ok(())
        }
        Some(Value::Array(elements)) => {
            let place = if key == "-" { elements.len() } else { index(&key)? };
            if place > elements.len() {
                return Err(format!("the list has only {} elements", elements.len()));
            }
            elements.insert(place, value);
            Ok(())
        }
        _ => Err("its parent is not there".to_owned()),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, key) = split(path).ok_or("the whole document cannot be removed")?;
    let removed = match document.pointer_mut(parent) {
        Some(Value::Object(map)) => map.remove(&key),
        Some(Value::Array(elements)) => {
            let place = index(&key)?;
            (place < elements.len()).then(|| elements.remove(place))
        }
        _ => None,
    };
    removed.ok_or_else(|| "there is nothing at this path".to_owned())
}

/// The pointer to the parent, and the last step with its escapes undone.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn index(key: &str) -> Result<usize, String> {
    key.parse().map_err(|_| format!("{key:?} is no place in a list"))
}
