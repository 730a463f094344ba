//! The hash that generated objects carry in their names.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::resources::Resources;

/// Appends to names that ask for it the hash of the object's content.
pub(super) fn add_to_names(resources: &mut Resources) {
    for resource in resources.as_mut().iter_mut().filter(|resource| resource.needs_hash) {
        let name = format!("{}-{}", resource.object.name(), suffix(resource.value()));
        resource.remember();
        resource.set_name(&name);
    }
}

/// The ten letters that kustomize makes of an object's content (api/hasher/hasher.go), to the bit.
///
/// What is hashed is compact JSON with sorted keys and Go's escapes; the name in it is always
/// empty, so renaming an object keeps its hash.
fn suffix(object: &Value) -> String {
    let field = |name: &str| object.get(name).cloned().unwrap_or_else(|| json!(""));
    let content = match object["kind"].as_str() {
        Some(kind @ "ConfigMap") => content(
            kind,
            &[("data", Some(field("data"))), ("binaryData", object.get("binaryData").cloned())],
        ),
        Some(kind @ "Secret") => content(
            kind,
            &[
                ("data", Some(field("data"))),
                ("type", Some(field("type"))),
                ("stringData", object.get("stringData").cloned()),
            ],
        ),
        _ => object.clone(),
    };
    let digest = Sha256::digest(go_json(&content).as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    // No vowels and nothing that looks like one, so that no word comes out.
    hex.chars()
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            c => c,
        })
        .collect()
}

fn content(kind: &str, fields: &[(&str, Option<Value>)]) -> Value {
    let mut map = Map::new();
    map.insert("kind".to_owned(), kind.into());
    map.insert("name".to_owned(), "".into());
    for (name, value) in fields {
        if let Some(value) = value {
            map.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(map)
}

/// JSON as Go's encoder writes it: sorted keys, and `<`, `>`, `&` and two line separators escaped,
/// which stand in texts only.
fn go_json(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    let escape = |json: String, c: char| json.replace(c, &format!("\\u{:04x}", u32::from(c)));
    ['<', '>', '&', '\u{2028}', '\u{2029}'].into_iter().fold(value.to_string(), escape)
}
