//! What a plain scalar means to Kubernetes' Go tools, and could mean to other readers.

use serde_json::{Number, Value};

/// What a plain scalar means to Go's YAML parser (`go.yaml.in/yaml/v3`, resolve.go), as JSON has
/// it: timestamps are texts, whole floats integers.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// The same for `sigs.k8s.io/yaml` (`goyaml.v2`), where the truth values are those of YAML 1.1.
pub(crate) fn plain_of_json(text: &str) -> Value {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => plain(text),
    }
}

/// A plain date as kustomize prints it, `2012-10-17` as `2012-10-17T00:00:00Z`: Go's parser takes it
/// for a time, and its JSON has times in full. One with a time of day stays as it is.
pub(crate) fn date(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return None };
    let is_number = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if year.len() != 4 || !is_number(year, 4) || !is_number(month, 2) || !is_number(day, 2) {
        return None;
    }
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    Some(format!("{date}T00:00:00Z"))
}

/// Whether some reader of YAML 1.1, of 1.2, or Go's in between could take the plain text for
/// something else than a text.
pub(crate) fn is_ambiguous(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    if !matches!(plain(text), Value::String(_)) || text == "<<" || text == "=" {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) || lower == "null" {
        return true;
    }
    // Numbers with exponents, underscores or colons, and dates: all start alike.
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    starts && lower.bytes().all(|b| b.is_ascii_hexdigit() || b"xo_.:+-tzinf ".contains(&b))
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| float(&digits))
}

/// Integers as `strconv.ParseInt(text, 0, 64)` takes them: 0x, 0o, 0b, and a leading 0 for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix(digits);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        false => Some(magnitude.into()),
        true => i64::try_from(-i128::from(magnitude)).ok().map(Number::from),
    }
}

fn radix(digits: &str) -> (u32, &str) {
    match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    }
}

/// Floats; a whole one becomes an integer, as Go prints it. `.inf` and `.nan` have no JSON, so they
/// stay texts.
fn float(text: &str) -> Option<Number> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && text.bytes().any(|b| b.is_ascii_digit());
    let value: f64 = plain.then(|| text.parse().ok())??;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_mean_what_go_takes_them_for() {
        for (text, value) in [
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("1.5", json!(1.5)),
            ("1.0", json!(1)),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("1.0.9", json!("1.0.9")),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("True", json!(true)),
            ("~", json!(null)),
            ("250m", json!("250m")),
            ("2001-01-01", json!("2001-01-01")),
            ("-", json!("-")),
            (".", json!(".")),
            ("0x", json!("0x")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn dates_are_printed_in_full() {
        for (text, expected) in [
            ("2012-10-17", Some("2012-10-17T00:00:00Z")),
            ("2001-1-2", Some("2001-01-02T00:00:00Z")),
            ("2001-12-14T21:59:43Z", None),
            ("2001-13-14", None),
            ("2001-12", None),
            ("2001-12-14-x", None),
            ("201-12-14", None),
        ] {
            assert_eq!(date(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_a_reader_could_mistake_are_ambiguous() {
        for text in [
            "yes",
            "No",
            "ON",
            "y",
            "null",
            "0644",
            "1.0.9",
            "12:30",
            "2001-01-01",
            "1e3",
            "",
            "~",
            ".inf",
            "<<",
            "0o7",
            "-.INF",
            ".NaN",
        ] {
            assert!(is_ambiguous(text), "{text}");
        }
        for text in ["250m", "nginx", "v1", "main@sha1:00", "256Mi", "yesterday", "sha256:00"] {
            assert!(!is_ambiguous(text), "{text}");
        }
    }
}
