//! When to ask again, and how long to wait before.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::StatusCode;

/// The longest wait, whatever a server asks for.
const LONGEST: Duration = Duration::from_secs(60);

/// Says whether a status may pass by itself.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns how long to wait before attempt number `attempt` (1 is the first repetition).
///
/// The wait doubles each time and is spread by a quarter, so that clients do not come back
/// together. A server's `Retry-After` is honoured up to a minute.
pub(crate) fn wait(attempt: u32, backoff: Duration, retry_after: Option<Duration>) -> Duration {
    if let Some(asked) = retry_after {
        return asked.min(LONGEST);
    }
    let doubled = backoff.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST);
    let random = RandomState::new().hash_one(attempt) % 1000;
    doubled.mul_f64(0.75 + 0.5 * (random as f64 / 1000.0))
}

/// Reads a `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds(header)?))?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// Reads a date as servers write it today: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn unix_seconds(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock =
        words.next()?.splitn(3, ':').map(|part| part.parse::<u64>().ok().filter(|n| *n < 61));
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    // Days since 1970 in the Gregorian calendar, with years that begin in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day
        - 719_469;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(unix_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(unix_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(unix_seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(unix_seconds("Sun, 06 Foo 1994 08:49:37 GMT"), None);
        assert_eq!(unix_seconds("soon"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("-1", now), None);
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        let backoff = Duration::from_millis(100);
        assert!((75..=125).contains(&wait(1, backoff, None).as_millis()));
        assert!((300..=500).contains(&wait(3, backoff, None).as_millis()));
        assert!(wait(1000, backoff, None) <= LONGEST.mul_f64(1.25));
        assert_eq!(wait(1, backoff, Some(Duration::from_secs(86_400))), LONGEST);
    }
}
