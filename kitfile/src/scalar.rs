//! What an unquoted YAML scalar means, by the rules of Go's `yaml.v3`, which kit reads Kitfiles
//! with.
//!
//! They are YAML 1.2's core schema and some of YAML 1.1: `0xFF`, `0o17`, `017` and `0b11` are
//! numbers, `_` may stand between digits, but `yes` and `off` are texts.

use std::str::FromStr;

use jiff::civil::{Date, Time};
use serde_json::{Number, Value};

/// Resolves an unquoted scalar; none for `.nan` and `.inf`, which JSON does not have.
pub(crate) fn resolve(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_beyond_json(text) => return None,
        _ => match number(text) {
            Some(number) => Value::Number(number),
            None => Value::String(timestamp(text).unwrap_or_else(|| text.to_owned())),
        },
    })
}

/// Whether an unquoted scalar would be read as a text.
pub(crate) fn is_text(text: &str) -> bool {
    matches!(resolve(text), Some(Value::String(read)) if read == text) && timestamp(text).is_none()
}

fn is_beyond_json(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    integer(&digits).or_else(|| float(&digits))
}

/// A whole number is an integer, however it is written: `1.2e+3` is 1200.
fn float(text: &str) -> Option<Number> {
    /// Up to here floats count one by one.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let value: f64 = is_float(text).then(|| text.parse().ok())??;
    let is_whole = value.fract() == 0.0
        && value.abs() <= LARGEST
        && !(value == 0.0 && value.is_sign_negative());
    if is_whole { Some(Number::from(value as i64)) } else { Number::from_f64(value) }
}

fn integer(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = unsigned.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match prefix.as_deref() {
        Some("0x") => (16, &unsigned[2..]),
        Some("0o") => (8, &unsigned[2..]),
        Some("0b") => (2, &unsigned[2..]),
        _ if unsigned.len() > 1 && unsigned.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(size).map(Number::from);
    }
    Some(Number::from(size))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits && !exponent.is_empty() && [whole, fraction, exponent].into_iter().all(all_digits)
}

/// A date or a time, in the form in which Go writes times to JSON; none when the text is neither.
fn timestamp(text: &str) -> Option<String> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let date = civil_date(date)?;
    let Some(time) = time else {
        return Some(format!("{date}T00:00:00Z"));
    };
    let (time, zone) = match time[1..].find(['Z', '+', '-']) {
        Some(at) if !time.starts_with(' ') => time[1..].split_at(at),
        None if time.starts_with(' ') => (&time[1..], "Z"),
        _ => return None,
    };
    Some(format!("{date}T{}{}", civil_time(time)?, canonical_zone(zone)?))
}

/// `2006-1-2`: four digits, then one or two, twice.
fn civil_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = digits(parts.next().filter(|year| year.len() == 4)?, 9999)?;
    let (month, day) = (digits(parts.next()?, 12)?, digits(parts.next()?, 31)?);
    if parts.next().is_some() { None } else { Date::new(year, month, day).ok() }
}

/// `15:4:5.999`: of the fraction nine digits count.
fn civil_time(text: &str) -> Option<Time> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 23)?, digits(parts.next()?, 59)?);
    let second = digits(parts.next()?, 59)?;
    if parts.next().is_some()
        || fraction.is_empty()
        || !fraction.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let nanosecond = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction)).parse().ok()?;
    Time::new(hour, minute, second, nanosecond).ok()
}

/// `Z`, or `+02:00`; no distance is `Z`.
fn canonical_zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some(text.to_owned());
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let distance = (digits(hours, 24_u8)?, digits(minutes, 60_u8)?);
    Some(if distance == (0, 0) { "Z".to_owned() } else { text.to_owned() })
}

/// As many digits as the limit has, or fewer, that are at most the limit.
fn digits<N: FromStr + PartialOrd + ToString>(text: &str, limit: N) -> Option<N> {
    let fits = !text.is_empty()
        && text.len() <= limit.to_string().len()
        && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten().filter(|number| *number <= limit)
}
