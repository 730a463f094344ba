//! Fields of a document that is a text within an object, as JSON in a ConfigMap's data.

use serde_json::Value;

use super::place::{self, Made, Split};
use crate::yaml;

/// Sets a field whose path goes on within a text that is JSON; says whether it does.
pub(super) fn set(
    object: &mut Value,
    path: &[String],
    value: &Value,
    create: Option<Made>,
) -> Result<bool, String> {
    for n in 1..path.len() {
        let Ok(Some(Value::String(text))) = place::look_up(object, &path[..n]) else { continue };
        let Ok(documents) = yaml::parse_all(text) else { continue };
        let Some(mut document) = documents.into_iter().next() else { return Ok(false) };
        if document.is_string() {
            return Ok(false);
        }
        if !text.trim_start().starts_with(['{', '[']) {
            // kustomize keeps its comments and the order of its keys.
            return Err("a field of YAML within a text is not supported".to_owned());
        }
        let text = text.clone();
        let Ok(places) = place::find(&mut document, &path[n..], create) else { return Ok(false) };
        for place in &places {
            if place::set(&mut document, place, value, &Split::default()).is_err() {
                return Ok(false);
            }
        }
        if places.is_empty() {
            return Ok(false);
        }
        let printed = print(&document, &text);
        for place in place::find(object, &path[..n], None)? {
            place::set(object, &place, &Value::String(printed.clone()), &Split::default())?;
        }
        return Ok(true);
    }
    Ok(false)
}

/// JSON in one line or in several, as it was, with Go's escapes.
fn print(document: &Value, was: &str) -> String {
    let mut document = document.clone();
    document.sort_all_objects();
    let text = match was.contains('\n') && was.contains("  ") {
        true => format!("{document:#}"),
        false => document.to_string(),
    };
    let escape = |json: String, c: char| json.replace(c, &format!("\\u{:04x}", u32::from(c)));
    ['<', '>', '&', '\u{2028}', '\u{2029}'].into_iter().fold(text, escape)
}
