//! What an API server wants of the values in ConfigMaps and Secrets, and of the types of fields.

use gitops::Object;
use gitops::reconcile::Refusal;
use serde_json::Value;

const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Fields of numbers, by kind.
const NUMBERS: [(&str, &str); 5] = [
    ("Deployment", "/spec/replicas"),
    ("Deployment", "/spec/minReadySeconds"),
    ("Deployment", "/spec/progressDeadlineSeconds"),
    ("Deployment", "/spec/revisionHistoryLimit"),
    ("Deployment", "/spec/template/spec/terminationGracePeriodSeconds"),
];

/// Maps of texts, by kind; all objects have the last two.
const TEXTS: [(&str, &str); 6] = [
    ("ConfigMap", "/data"),
    ("ConfigMap", "/binaryData"),
    ("Secret", "/data"),
    ("Secret", "/stringData"),
    ("", "/metadata/annotations"),
    ("", "/metadata/labels"),
];

/// A field that is not of the type that the schema gives it: no object can be made of that.
pub(super) fn mistyped(object: &Object) -> Option<Refusal> {
    let is_of = |kind: &str| kind.is_empty() || kind == object.kind();
    let numbers = NUMBERS.iter().filter(|(kind, _)| is_of(kind)).find_map(|(_, pointer)| {
        let value = object.at(pointer).filter(|it| !it.is_number() && !it.is_null())?;
        Some((path(pointer), format!("expected numeric (int or float), got {}", shape(value))))
    });
    let texts = || {
        TEXTS.iter().filter(|(kind, _)| is_of(kind)).find_map(|(_, pointer)| {
            let map = object.at(pointer)?.as_object()?;
            let (key, value) = map.iter().find(|(_, it)| !it.is_string() && !it.is_null())?;
            let got = format!("&value.valueUnstructured{{Value:{value}}}");
            Some((format!("{}.{key}", path(pointer)), format!("expected string, got {got}")))
        })
    };
    let (field, why) = numbers.or_else(texts)?;
    let (namespace, name, kind) = (object.namespace(), object.name(), object.kind());
    let place = format!("{namespace}/{name}; {}, Kind={kind}", group_version(object));
    Some(Refusal::new("", format!("failed to create typed patch object ({place}): {field}: {why}")))
}

/// The core group has an empty name here.
fn group_version(object: &Object) -> String {
    let id = object.id();
    if id.group.is_empty() { format!("/{}", id.version) } else { id.api_version() }
}

fn path(pointer: &str) -> String {
    pointer.replace('/', ".")
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Array(_) => "list",
        _ => "map",
    }
}

/// A Secret whose data is not base64.
pub(super) fn undecodable(object: &Object) -> Option<Refusal> {
    if object.kind() != "Secret" {
        return None;
    }
    let data = object.at("/data")?.as_object()?;
    let at = data.values().filter_map(Value::as_str).find_map(first_not_base64)?;
    let place = format!("{}/{}; /v1, Kind=Secret", object.namespace(), object.name());
    Some(Refusal::new(
        "",
        format!(
            "failed to convert new object ({place}) to proper version: unable to convert \
             unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 \
             data at input byte {at}"
        ),
    ))
}

/// Where a text stops being base64 of the standard alphabet, with padding.
fn first_not_base64(text: &str) -> Option<usize> {
    let text: Vec<u8> = text.bytes().filter(|byte| !b"\r\n".contains(byte)).collect();
    let body = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    if let Some(at) = text[..body].iter().position(|byte| !is_digit(byte)) {
        return Some(at);
    }
    let padding = &text[body..];
    let is_padded = padding.iter().all(|byte| *byte == b'=')
        && padding.len() < 3
        && body % 4 != 1
        && text.len().is_multiple_of(4);
    (!is_padded).then_some(if padding.is_empty() { body / 4 * 4 } else { body })
}

/// Keys that no file could be named after.
pub(super) fn problems(object: &Object) -> Vec<String> {
    if !["ConfigMap", "Secret"].contains(&object.kind()) {
        return Vec::new();
    }
    let keys = |field: &str| {
        let map = object.at(&format!("/{field}")).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    let mut problems = Vec::new();
    for field in ["data", "binaryData"] {
        for key in keys(field) {
            let at = format!("{field}[{key}]");
            problems.extend(key_problem(&key).map(|why| super::metadata::invalid(&at, &key, why)));
        }
    }
    problems
}

fn key_problem(key: &str) -> Option<&'static str> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || ['-', '.', '_'].contains(&c);
    if key.len() > 253 {
        Some("must be no more than 253 bytes")
    } else if key.is_empty() || !key.chars().all(is_letter) {
        Some(KEY)
    } else if key == "." {
        Some("must not be '.'")
    } else if key == ".." {
        Some("must not be '..'")
    } else if key.starts_with("..") {
        Some("must not start with '..'")
    } else {
        None
    }
}
