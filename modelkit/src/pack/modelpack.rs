//! The config of a CNCF ModelPack that we make.
//! Source: model-spec, `docs/config.md` and `schema/config-schema.json`, which allows no field
//! beyond its own.

use kitfile::{Kitfile, Model};
use registry::content::{self, Digest};
use serde_json::{Map, Value, json};

/// Makes the config. Facts come from the Kitfile; what it does not say is left out, and so is an
/// empty time.
pub(super) fn config(kitfile: &Kitfile, diff_ids: &[&Digest], created: &str) -> Vec<u8> {
    let diff_ids: Vec<_> = diff_ids.iter().map(ToString::to_string).collect();
    content::encode(&json!({
        "descriptor": about(kitfile, created),
        "config": kitfile.model.as_ref().map(shape).unwrap_or_default(),
        "modelfs": {"type": "layers", "diffIds": diff_ids},
    }))
}

fn about(kitfile: &Kitfile, created: &str) -> Map<String, Value> {
    let package = &kitfile.package;
    let model = kitfile.model.as_ref();
    let name =
        if package.name.is_empty() { model.map_or("", |model| &model.name) } else { &package.name };
    let mut about = texts(&[
        ("name", name),
        ("title", name),
        ("version", &package.version),
        ("description", &package.description),
        ("family", parameter(model, &["family", "model_type"]).as_deref().unwrap_or_default()),
        ("createdAt", created),
    ]);
    if !package.authors.is_empty() {
        about.insert("authors".to_owned(), json!(package.authors));
    }
    let licenses = licenses(kitfile);
    if !licenses.is_empty() {
        about.insert("licenses".to_owned(), json!(licenses));
    }
    about
}

/// Every licence that the Kitfile names, sorted.
fn licenses(kitfile: &Kitfile) -> Vec<&str> {
    let model = kitfile.model.iter();
    let parts = kitfile.model.iter().flat_map(|model| &model.parts).map(|part| &part.license);
    let datasets = kitfile.datasets.iter().map(|dataset| &dataset.license);
    let code = kitfile.code.iter().map(|code| &code.license);
    let all = model.map(|model| &model.license).chain(parts).chain(datasets).chain(code);
    let mut licenses: Vec<&str> =
        all.chain([&kitfile.package.license]).map(String::as_str).collect();
    licenses.retain(|license| !license.is_empty());
    licenses.sort_unstable();
    licenses.dedup();
    licenses
}

/// What the model is made of; readers choose its loader by `format`.
fn shape(model: &Model) -> Map<String, Value> {
    let parameter = |keys: &[&str]| parameter(Some(model), keys).unwrap_or_default();
    let size = model.parameters.get("num_parameters").and_then(Value::as_u64).map(rounded);
    texts(&[
        ("format", &format(model)),
        ("architecture", &parameter(&["architecture", "architectures"])),
        ("paramSize", &size.unwrap_or_else(|| parameter(&["paramSize", "size_label"]))),
        ("precision", &parameter(&["precision", "dtype", "torch_dtype"]).to_lowercase()),
        ("quantization", &parameter(&["quantization"])),
    ])
}

fn format(model: &Model) -> String {
    if !model.format.is_empty() {
        return model.format.clone();
    }
    let suffix = model.path.rsplit_once('.').map_or("", |(_, suffix)| suffix).to_ascii_lowercase();
    let known = ["safetensors", "gguf", "onnx", "pt"].contains(&suffix.as_str());
    if known { suffix } else { String::new() }
}

/// A parameter that is a text, or the first text of a list.
fn parameter(model: Option<&Model>, keys: &[&str]) -> Option<String> {
    let value = keys.iter().find_map(|key| model?.parameters.get(key))?;
    let text = value.as_str().or_else(|| value.as_array()?.first()?.as_str())?;
    Some(text.to_owned())
}

/// A number of parameters as model cards write it: `6.7B`, `66M`.
fn rounded(n: u64) -> String {
    let (unit, letter) = match n {
        1_000_000_000.. => (1e9, "B"),
        1_000_000.. => (1e6, "M"),
        1_000.. => (1e3, "K"),
        _ => return n.to_string(),
    };
    let n = n as f64 / unit;
    if n < 10.0 {
        format!("{}{letter}", (n * 10.0).round() / 10.0)
    } else {
        format!("{}{letter}", n.round())
    }
}

fn texts(fields: &[(&str, &str)]) -> Map<String, Value> {
    let given = fields.iter().filter(|(_, text)| !text.is_empty());
    given.map(|(key, text)| ((*key).to_owned(), Value::from(*text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_parameters_are_written_as_on_model_cards() {
        for (n, text) in [
            (999, "999"),
            (66_955_010, "67M"),
            (6_738_415_616, "6.7B"),
            (70_000_000_000, "70B"),
            (1_000, "1K"),
        ] {
            assert_eq!(rounded(n), text);
        }
    }
}
