//! What an API server wants of names, labels and annotations, in its words.

use gitops::Object;
use serde_json::Value;

/// The most that the annotations of an object may hold together.
const MAX_ANNOTATIONS: usize = 256 << 10;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

/// Everything that is wrong with `metadata`.
pub(super) fn problems(object: &Object) -> Vec<String> {
    let name = object.name();
    let mut problems: Vec<String> =
        name_problems(object).iter().map(|why| invalid("metadata.name", name, why)).collect();
    let texts = |field: &str| {
        let map = object.at(&format!("/metadata/{field}")).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect::<Vec<_>>()
    };
    for (key, value) in texts("labels") {
        problems.extend(key_problems(&key).iter().map(|why| invalid("metadata.labels", &key, why)));
        problems.extend(
            value_problems(&value).iter().map(|why| invalid("metadata.labels", &value, why)),
        );
    }
    let annotations = texts("annotations");
    for (key, _) in &annotations {
        let found = key_problems(&key.to_lowercase());
        problems.extend(found.iter().map(|why| invalid("metadata.annotations", key, why)));
    }
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
        > MAX_ANNOTATIONS
    {
        problems.push(format!(
            "metadata.annotations: Too long: may not be more than {MAX_ANNOTATIONS} bytes"
        ));
    }
    problems
}

/// A field whose value is not valid.
pub(super) fn invalid(field: &str, value: &str, why: &str) -> String {
    format!("{field}: Invalid value: {}: {why}", Value::from(value))
}

/// The names of roles are parts of paths; those of namespaces and Services are labels of the DNS,
/// those of all others names of it.
fn name_problems(object: &Object) -> Vec<String> {
    let (name, id) = (object.name(), object.id());
    match (id.group.as_str(), id.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => {
            let parts = ['/', '%'].into_iter().filter(|c| name.contains(*c));
            let mut problems: Vec<_> = parts.map(|c| format!("may not contain '{c}'")).collect();
            if [".", ".."].contains(&name) {
                problems.push(format!("may not be '{name}'"));
            }
            problems
        }
        ("", "Namespace" | "Service") => label_problems(name),
        _ => subdomain_problems(name),
    }
}

/// What is wrong with a name that has to be a label of the DNS, such as a container's.
pub(super) fn label_problems(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63);
    if is_label(name) {
        return problems;
    }
    let is_dotted = name.contains('.') && name.split('.').all(is_label);
    problems.push(if is_dotted { "must not contain dots" } else { LABEL }.to_owned());
    problems
}

fn subdomain_problems(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 253);
    if !name.split('.').all(is_label) {
        problems.push(SUBDOMAIN.to_owned());
    }
    problems
}

fn key_problems(key: &str) -> Vec<String> {
    let (prefix, name) = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => (None, name),
        [prefix, name] => (Some(prefix), name),
        _ => return vec![QUALIFIED.to_owned()],
    };
    let mut problems: Vec<String> = match prefix {
        None => Vec::new(),
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => {
            subdomain_problems(prefix).iter().map(|it| format!("prefix part {it}")).collect()
        }
    };
    match name {
        "" => problems.push("name part must be non-empty".to_owned()),
        name => problems.extend(too_long(name, 63).iter().map(|it| format!("name part {it}"))),
    }
    if !is_word(name) {
        problems.push(NAME_PART.to_owned());
    }
    problems
}

fn value_problems(value: &str) -> Vec<String> {
    let mut problems = too_long(value, 63);
    if !value.is_empty() && !is_word(value) {
        problems.push(VALUE.to_owned());
    }
    problems
}

fn too_long(text: &str, max: usize) -> Vec<String> {
    let is_long = text.len() > max;
    is_long.then(|| format!("must be no more than {max} bytes")).into_iter().collect()
}

fn is_label(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text.chars().all(|c| is_edge(c) || c == '-')
}

fn is_word(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text.chars().all(|c| is_edge(c) || ['-', '_', '.'].contains(&c))
}
