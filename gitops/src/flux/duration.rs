//! Durations as Go writes them: `1h30m`, `10m0s`.

use std::time::Duration;

use crate::{Error, Result, rules};

/// Parses a duration as Flux takes it, `1h5m30s`, `500ms`: digits before each unit, and a point only
/// between digits.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let refuse = |reason| Error::Grammar { what: "duration", text: text.to_owned(), reason };
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = &rest[..digits];
        if number.starts_with('.') || number.ends_with('.') {
            return Err(refuse("a point has digits on both sides"));
        }
        let number: f64 = number.parse().map_err(|_| refuse("a number is missing"))?;
        let after = &rest[digits..];
        let (seconds, unit) = match after {
            after if after.starts_with("ms") => (0.001, 2),
            after if after.starts_with('s') => (1.0, 1),
            after if after.starts_with('m') => (60.0, 1),
            after if after.starts_with('h') => (3600.0, 1),
            _ => return Err(refuse("the units are h, m, s and ms")),
        };
        total += number * seconds;
        rest = &after[unit..];
    }
    if text.is_empty() {
        return Err(refuse("it is empty"));
    }
    let duration = Duration::try_from_secs_f64(total).ok();
    let countable = duration.filter(|duration| *duration <= rules::LONGEST);
    countable.ok_or_else(|| refuse("it is longer than 292 years"))
}

/// Prints a duration as Flux writes it in its files, `1m0s`, `10m0s`, `500ms`.
pub fn format_duration(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    if seconds == 0 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let tail = match millis {
        0 => format!("{s}s"),
        millis => format!("{s}.{millis:03}s"),
    };
    match (h, m) {
        (0, 0) => tail,
        (0, m) => format!("{m}m{tail}"),
        (h, m) => format!("{h}h{m}m{tail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pattern of Flux' CRDs.
    fn pattern() -> regex::Regex {
        regex::Regex::new(r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$").unwrap()
    }

    #[test]
    fn what_is_taken_is_what_the_pattern_takes() {
        let mut texts = vec![String::new()];
        let mut begin = 0;
        for _ in 0..5 {
            let end = texts.len();
            for n in begin..end {
                for letter in "01.msh-".chars() {
                    texts.push(format!("{}{letter}", texts[n]));
                }
            }
            begin = end;
        }
        let pattern = pattern();
        for text in texts {
            assert_eq!(parse_duration(&text).is_ok(), pattern.is_match(&text), "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_printed_as_go_does() {
        for (text, millis, printed) in [
            ("5m", 300_000, "5m0s"),
            ("1h30m", 5_400_000, "1h30m0s"),
            ("90s", 90_000, "1m30s"),
            ("500ms", 500, "500ms"),
            ("1.5s", 1500, "1.500s"),
            ("0s", 0, "0s"),
            ("1h", 3_600_000, "1h0m0s"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(
                (duration, format_duration(duration).as_str()),
                (Duration::from_millis(millis), printed)
            );
            assert_eq!(parse_duration(printed).unwrap(), duration);
            assert!(pattern().is_match(printed));
        }
        for bad in [
            "",
            "5",
            "m",
            "5d",
            "-5m",
            "5m3",
            "1..2s",
            "99999999999999999999h",
            ".5s",
            "1.s",
            "+1s",
            "1e3s",
            "5us",
            "3000000h",
            " 1s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
