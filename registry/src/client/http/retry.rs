//! When to ask again, and how long to wait before.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;

/// The longest wait. Who asks for a longer one is not waited for at all.
const LONGEST: Duration = Duration::from_secs(60);

/// Says whether a status may pass by itself.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Says whether a server asks to be left alone for longer than anybody waits.
pub(crate) fn is_too_long(asked: Duration) -> bool {
    asked > LONGEST
}

/// Returns how long to wait before attempt number `attempt` (1 is the first repetition).
///
/// The wait doubles each time and is spread by a quarter, so that clients do not come back
/// together. A server's `Retry-After` is honoured up to a minute; see [`is_too_long`].
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
    let at = httpdate::parse_http_date(header.trim()).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn dates_are_read() {
        let seconds = |date| Some(retry_after(date, UNIX_EPOCH)?.as_secs());
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(seconds("Sun, 06 Foo 1994 08:49:37 GMT"), None);
        assert_eq!(seconds("soon"), None);
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
