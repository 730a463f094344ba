//! Which texts kustomize prints between quotes: those that its printer, `sigs.k8s.io/yaml` (with
//! `goyaml.v2` inside), would itself read as something else than a text.

/// Whether a text that could stand plain would be read as a boolean, null, a number or a time.
/// Source: `goyaml.v2`, resolve.go and encode.go.
pub(super) fn means_something_else(text: &str) -> bool {
    const BOOLEANS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    if text.is_empty() || text == "~" {
        return true;
    }
    // In small letters, in capitals, or with one: YAML 1.1 knows no other mixture.
    let is_word = |word: &str| {
        let capital = word.chars().next().map(|first| first.to_ascii_uppercase());
        let titled = capital.into_iter().chain(word.chars().skip(1)).collect::<String>();
        [word.to_owned(), word.to_ascii_uppercase(), titled].iter().any(|it| it == text)
    };
    if BOOLEANS.iter().chain(&["null"]).any(|word| is_word(word)) {
        return true;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if [".inf", ".Inf", ".INF"].contains(&unsigned) || [".nan", ".NaN", ".NAN"].contains(&text) {
        return true;
    }
    match text.as_bytes()[0] {
        b'.' => is_decimal(text),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            is_time(text) || is_integer(&plain) || is_decimal(&plain) || is_sexagesimal(text)
        }
        _ => false,
    }
}

/// `strconv.ParseInt(text, 0, 64)`, or the same without a sign.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_alphanumeric());
    is_number && u64::from_str_radix(digits, radix).is_ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && is_digits(text);
    let is_number = match number.split_once('.') {
        Some(("", behind)) => digits(behind),
        Some((before, behind)) => digits(before) && is_digits(behind),
        None => digits(number),
    };
    is_number && exponent.is_none_or(|it| digits(it.strip_prefix(['+', '-']).unwrap_or(it)))
}

/// A number of YAML 1.1 to the base of 60, such as 12:30.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts: Vec<&str> = text.split(':').collect();
    if parts.len() < 2 {
        return false;
    }
    let first = parts.remove(0);
    if let Some((last, fraction)) = parts.last().and_then(|last| last.split_once('.')) {
        if !fraction.bytes().all(|it| it.is_ascii_digit() || it == b'_') {
            return false;
        }
        *parts.last_mut().expect("it has a last part") = last;
    }
    let is_first = first.starts_with(|it: char| it.is_ascii_digit())
        && first.bytes().all(|it| it.is_ascii_digit() || it == b'_');
    let is_part = |part: &&str| is_digits(part) && part.parse::<u8>().is_ok_and(|it| it < 60);
    is_first && parts.iter().all(|part| part.len() <= 2 && is_part(part))
}

/// A date, or a date and a time: four digits, a hyphen, and so on.
fn is_time(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10.min(text.len())) else { return false };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(end) => text.split_at(end),
        None if time.is_empty() => (date, ""),
        None => return false,
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let number = |text: &str| is_short(text).then(|| text.parse::<u32>().ok()).flatten();
    let (Some(month), Some(day)) = (number(month), number(day)) else { return false };
    if year.len() != 4 || !is_digits(year) {
        return false;
    }
    let year: u32 = year.parse().unwrap_or(0);
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day) && (time.is_empty() || is_time_of_day(time))
}

/// What stands behind a date: `T12:30:00Z`, `t12:30:00.5+01:00`, or a space and no zone.
fn is_time_of_day(text: &str) -> bool {
    let (clock, has_zone) = match text.split_at(1) {
        (" ", rest) => (rest, false),
        (_, rest) => (rest, true),
    };
    let zone = clock.find(['Z', '+', '-']);
    let (clock, zone) = match (zone, has_zone) {
        (Some(at), true) => clock.split_at(at),
        (None, false) => (clock, "Z"),
        _ => return false,
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let [hours, minutes, seconds] = parts[..] else { return false };
    let below =
        |text: &str, most: u32| is_short(text) && text.parse::<u32>().is_ok_and(|it| it < most);
    let is_zone = zone == "Z"
        || zone.len() == 6
            && zone[1..]
                .split_once(':')
                .is_some_and(|(hours, minutes)| below(hours, 25) && below(minutes, 60));
    let is_clock = below(hours, 24) && below(minutes, 60) && below(seconds, 60);
    is_zone && is_clock && !fraction.is_empty() && is_digits(fraction)
}

fn is_short(text: &str) -> bool {
    (1..=2).contains(&text.len()) && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `kubectl kustomize` 1.36.4 prints the values of a ConfigMap.
    #[test]
    fn texts_are_quoted_where_kustomize_quotes_them() {
        let quoted = [
            "yes",
            "1.0",
            "y",
            "",
            "12:30",
            "2001-01-01",
            "1e3",
            "0644",
            "0o644",
            "~",
            "1_0",
            ".inf",
            "off",
            "null",
            "0x1f",
            "N",
            "+1",
            "1.",
            ".5",
            "2001-01-01T00:00:00Z",
            "1:2",
            "-.inf",
            ".nan",
            "0b1",
            "0_",
            "-1",
            "1e-3",
            "08",
            "65",
        ];
        for text in quoted {
            assert!(means_something_else(text), "{text:?} is not quoted");
        }
        let plain = [
            "1_a",
            "-x",
            "=",
            "1.2.3",
            "10.0.0.1",
            "1a",
            "1 2",
            "::1",
            "60s",
            "250m",
            "1e",
            ".",
            "NaN",
            "f",
            "e1",
            "0xzz",
            "yEs",
            "2001-02-30",
            "2001-1",
            "12:61",
            "true x",
            "tRUE",
        ];
        for text in plain {
            assert!(!means_something_else(text), "{text:?} is quoted");
        }
    }
}
