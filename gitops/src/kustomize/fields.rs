//! Walks to the fields of an object that a path of keys means.

use serde_json::{Map, Value};

/// Visits every value at a path of keys; lists on the way are walked through.
///
/// With `create`, mappings that are missing on the way are made, and a missing last field is
/// visited as null; a key written `key[]` is a list and never made.
pub(super) fn each(
    value: &mut Value,
    path: &[&str],
    create: bool,
    visit: &mut dyn FnMut(&mut Value),
) {
    let Some((key, rest)) = path.split_first() else { return visit(value) };
    match value {
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| each(element, path, create, visit))
        }
        Value::Object(map) => {
            let (key, create) = key
                .strip_suffix("[]")
                .map_or((*key, create), |list| (list, create && map.contains_key(list)));
            if create && map.get(key).is_none_or(Value::is_null) {
                let empty = if rest.is_empty() { Value::Null } else { Value::Object(Map::new()) };
                map.insert(key.to_owned(), empty);
            }
            if let Some(next) = map.get_mut(key) {
                each(next, rest, create, visit);
            }
        }
        _ => {}
    }
}

/// Splits a path as kustomize writes it, `spec/template/metadata/labels`; `\/` stands for a slash
/// within a key.
pub(super) fn split(path: &str) -> Vec<String> {
    path.replace("\\/", "\0").split('/').map(|part| part.replace('\0', "/")).collect()
}

/// Adds texts to the mapping at a path.
pub(super) fn add_texts(
    value: &mut Value,
    path: &[&str],
    create: bool,
    texts: &std::collections::BTreeMap<String, String>,
) {
    each(value, path, create, &mut |found| {
        if found.is_null() {
            *found = Value::Object(Map::new());
        }
        let Value::Object(map) = found else { return };
        for (key, text) in texts {
            map.insert(key.clone(), text.clone().into());
        }
    });
}
