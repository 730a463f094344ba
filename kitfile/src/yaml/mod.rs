//! The YAML form, laid out as kit lays it out: two spaces per level, lists indented under their
//! key.

mod order;
mod text;

use serde_yaml::{Mapping, Number, Value};
use text::{Place, fits_block, text};

use crate::Kitfile;

/// The longest key that stands on its value's line, in bytes.
const MAX_SIMPLE_KEY: usize = 128;

impl Kitfile {
    /// The YAML form, without the layers' digests. What [`Kitfile::parse`] read before, it reads
    /// again from this.
    pub fn to_yaml(&self) -> String {
        let mut plain = self.clone();
        plain.clear_layers();
        let mut values =
            serde_yaml::to_value(&plain).expect("a Kitfile is texts, lists and JSON values");
        let root = values.as_mapping_mut().expect("a Kitfile is a map");
        root.retain(|key, value| {
            key != "package" || value.as_mapping().is_some_and(|package| !package.is_empty())
        });
        let mut out = String::new();
        for (key, value) in &*root {
            match (key.as_str(), value) {
                (Some("package"), Value::Mapping(package)) => package_section(package, &mut out),
                _ => field(key, value, 0, &mut out),
            }
        }
        out
    }
}

/// A field as lines of its own, every one with this indent.
pub(crate) fn lines(key: &str, value: &Value, indent: usize) -> String {
    let mut out = " ".repeat(indent);
    field(&key.into(), value, indent, &mut out);
    out
}

/// A value that fits on its key's line.
pub(crate) fn word(value: &Value) -> Option<String> {
    let fits = match value {
        Value::String(value) => !fits_block(value),
        value => !value.is_mapping() && !value.is_sequence(),
    };
    fits.then(|| scalar_text(value, Place::Block))
}

/// Kit writes the authors on one line.
fn package_section(package: &Mapping, out: &mut String) {
    out.push_str("package:\n");
    for (key, value) in package {
        out.push_str("  ");
        match value {
            Value::Sequence(authors) => {
                let authors: Vec<_> = authors
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|author| text(author, Place::Flow))
                    .collect();
                out.push_str(&format!("authors: [{}]\n", authors.join(", ")));
            }
            _ => field(key, value, 2, out),
        }
    }
}

/// Writes a key and its value; the line's indent stands already, and the next lines have `indent`.
fn field(key: &Value, value: &Value, indent: usize, out: &mut String) {
    if key == "parameters" {
        let mut sorted = value.clone();
        order::sort(&mut sorted);
        return sorted_field(key, &sorted, indent, out);
    }
    sorted_field(key, value, indent, out);
}

fn sorted_field(key: &Value, value: &Value, indent: usize, out: &mut String) {
    let key = scalar_text(key, Place::Key);
    if key.len() > MAX_SIMPLE_KEY {
        out.push_str(&format!("? {key}\n{:indent$}:", ""));
    } else {
        out.push_str(&format!("{key}:"));
    }
    match value {
        Value::Mapping(map) if !map.is_empty() => {
            out.push_str(&format!("\n{:1$}", "", indent + 2));
            mapping(map, indent + 2, out);
        }
        Value::Sequence(items) if !items.is_empty() => {
            out.push_str(&format!("\n{:1$}", "", indent + 2));
            sequence(items, indent + 2, out);
        }
        _ => {
            out.push(' ');
            leaf(value, indent + 2, out);
        }
    }
}

fn mapping(map: &Mapping, indent: usize, out: &mut String) {
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push_str(&" ".repeat(indent));
        }
        field(key, value, indent, out);
    }
}

fn sequence(items: &[Value], indent: usize, out: &mut String) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str("- ");
        match item {
            Value::Mapping(map) if !map.is_empty() => mapping(map, indent + 2, out),
            Value::Sequence(items) if !items.is_empty() => sequence(items, indent + 2, out),
            _ => leaf(item, indent + 2, out),
        }
    }
}

/// Writes what has no lines of its own, but for a text with line breaks: its lines have `indent`.
fn leaf(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(value) if fits_block(value) => block(value, indent, out),
        _ => {
            out.push_str(&scalar_text(value, Place::Block));
            out.push('\n');
        }
    }
}

/// A text in YAML's literal style, line by line as it is.
fn block(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    match text.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&format!("{:indent$}{line}", ""));
        }
        out.push('\n');
    }
}

fn scalar_text(value: &Value, place: Place) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number_text(number),
        Value::String(value) => text(value, place),
        Value::Sequence(_) => "[]".to_owned(),
        Value::Mapping(_) | Value::Tagged(_) => "{}".to_owned(),
    }
}

/// Floats have an exponent from a million on and below a ten-thousandth, as Go's `%g` gives it: two
/// digits at least.
fn number_text(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let (digits, exponent) = match format!("{value:e}").split_once('e') {
        Some((digits, exponent)) => {
            (digits.to_owned(), exponent.parse::<i32>().unwrap_or_default())
        }
        None => return value.to_string(),
    };
    if (-4..6).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
