//! The JSON form: what a ModelKit's config blob holds, byte for byte as Go's `encoding/json` writes
//! it.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Number, Value};

use crate::schema::{self, Shape};
use crate::{Error, Kitfile, Result};

/// The fields that a layer's digests stand in; they are in the JSON form only.
const OF_LAYERS: [&str; 2] = ["digest", "diffId"];

impl Kitfile {
    /// The JSON form, as it stands in a ModelKit's config blob: equal Kitfiles give equal bytes,
    /// the same that kit gives.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Go);
        self.serialize(&mut serializer).expect("a Kitfile is texts, lists and JSON values");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    /// Reads the JSON form. Fields that this version does not know are passed over, as kit does.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(Error::FromJson)
    }
}

/// The fields of a JSON form that this version does not know, such as `datasets[1].seed`, in their
/// order: [`Kitfile::from_json`] passes over them.
///
/// ```
/// let json = br#"{"manifestVersion":"1.0.0","agents":[],"model":{"path":"m","mood":1}}"#;
/// assert_eq!(kitfile::unknown_fields(json), ["agents", "model.mood"]);
/// ```
pub fn unknown_fields(json: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice(json) {
        unknown(&value, schema::KITFILE, "", &mut found);
    }
    found
}

fn unknown(value: &Value, shape: Shape, path: &str, found: &mut Vec<String>) {
    match (value, shape) {
        (Value::Object(map), Shape::Section(fields)) => {
            let has_layer = fields.iter().any(|(name, _)| *name == "path");
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match fields.iter().find(|(name, _)| name == key) {
                    Some((_, shape)) => unknown(value, *shape, &path, found),
                    None if has_layer && OF_LAYERS.contains(&&**key) => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(items), Shape::Sections(fields)) => {
            for (index, item) in items.iter().enumerate() {
                unknown(item, Shape::Section(fields), &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// Writes the keys of every map in the order of their bytes, whatever order the map itself keeps.
pub(crate) fn sorted<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
            let mut out = serializer.serialize_map(Some(entries.len()))?;
            for (key, value) in entries {
                out.serialize_entry(key, &Sorted(value))?;
            }
            out.end()
        }
        Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
        Value::Number(number) => sorted_number(number, serializer),
        other => other.serialize(serializer),
    }
}

/// Passes numbers on by their value, so that no feature of `serde_json` shows in the bytes.
fn sorted_number<S: Serializer>(number: &Number, serializer: S) -> Result<S::Ok, S::Error> {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => serializer.serialize_i64(number),
        (None, Some(number)) => serializer.serialize_u64(number),
        _ => serializer.serialize_f64(number.as_f64().unwrap_or_default()),
    }
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        sorted(self.0, serializer)
    }
}

/// Compact JSON the way Go writes it: `<`, `>`, `&` and two line separators escaped, floats in its
/// shortest form.
struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            let special = from.chars().next().expect("found above");
            write!(writer, "{before}\\u{:04x}", u32::from(special))?;
            rest = &from[special.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{value:e}");
            let (digits, exponent) = text.split_once('e').expect("a number in exponent form");
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            return write!(writer, "{digits}e{sign}{exponent}");
        }
        write!(writer, "{value}")
    }

    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        CompactFormatter.write_null(writer)
    }
}
