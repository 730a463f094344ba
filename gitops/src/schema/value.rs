//! Scalars: what Kubernetes' Go types read, and what they look like in Flux' definitions.

use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value;

/// What a value should be, if it is not.
pub(super) fn check(scalar: &str, value: &Value) -> Option<&'static str> {
    let is_right = match scalar {
        "any" => true,
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "int32" => integer(value).is_some_and(|n| i32::try_from(n).is_ok()),
        "int64" => integer(value).is_some(),
        "intstr" => value.is_string() || integer(value).is_some_and(|n| i32::try_from(n).is_ok()),
        "quantity" => value.is_number() || value.as_str().is_some_and(is_quantity),
        "bytes" => value.as_str().is_some_and(is_base64),
        "time" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        // A name that no file of schemas has: their test finds it.
        _ => return Some("of a known type"),
    };
    let should = match scalar {
        "string" => "a text",
        "boolean" => "true or false",
        "number" => "a number",
        "int32" => "a whole number of 32 bits",
        "int64" => "a whole number of 64 bits",
        "intstr" => "a whole number of 32 bits, or a text",
        "quantity" => "a quantity such as 250m, 64Mi or 2",
        "bytes" => "base64",
        _ => "a time such as 2026-01-01T00:00:00Z",
    };
    (!is_right).then_some(should)
}

/// The word for what a value is.
pub(super) fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// A whole number; as Go's tools read YAML, `1.0` is one.
fn integer(value: &Value) -> Option<i64> {
    let whole = |n: f64| (n.fract() == 0.0 && n.abs() < 9e15).then_some(n as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole).filter(|_| !value.is_u64()))
}

/// Source: apimachinery, pkg/api/resource/quantity.go.
fn is_quantity(text: &str) -> bool {
    static PATTERN: OnceLock<Regex> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        Regex::new(
            r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(n|u|m|k|[KMGTPE]i|[MGTPE]|[eE][+-]?[0-9]+)?$",
        )
        .expect("it is a pattern")
    });
    pattern.is_match(text)
}

/// The standard alphabet, padded; line ends are passed over, as Go does.
fn is_base64(text: &str) -> bool {
    let text: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let body = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(&text);
    text.len().is_multiple_of(4)
        && body.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_gos_types_read() {
        let right = [
            ("int32", json!(2_147_483_647)),
            ("int32", json!(1.0)),
            ("int64", json!(9_007_199_254_740_993_i64)),
            ("quantity", json!("250m")),
            ("quantity", json!("1.5Gi")),
            ("quantity", json!(".5")),
            ("quantity", json!("1e3")),
            ("quantity", json!(2)),
            ("bytes", json!("aGFsbG8=")),
            ("bytes", json!("aGFs\nbG8=")),
            ("bytes", json!("")),
            ("intstr", json!("http")),
            ("intstr", json!(80)),
            ("time", json!("2026-01-01T00:00:00Z")),
        ];
        for (scalar, value) in right {
            assert_eq!(check(scalar, &value), None, "{scalar} {value}");
        }
        let wrong = [
            ("int32", json!(2_147_483_648_i64)),
            ("int32", json!(1.5)),
            ("int32", json!("1")),
            ("string", json!(1)),
            ("string", json!(null)),
            ("boolean", json!("true")),
            ("quantity", json!("64MB")),
            ("quantity", json!("1 Gi")),
            ("quantity", json!("")),
            ("bytes", json!("not base64!")),
            ("bytes", json!("aGFsbG8")),
            ("intstr", json!(true)),
            ("time", json!("yesterday")),
        ];
        for (scalar, value) in wrong {
            assert!(check(scalar, &value).is_some(), "{scalar} {value}");
        }
    }
}
