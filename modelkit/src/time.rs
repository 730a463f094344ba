//! Times in annotations: whole seconds since 1970, written as RFC 3339 has them.

use jiff::Timestamp;

use crate::error::{Error, Result};

/// A time in UTC, such as `2024-12-31T23:59:59Z`.
pub(crate) fn rfc3339(seconds: u64) -> Result<String> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).ok_or(Error::Time { seconds })
}

/// Reads what [`rfc3339`] writes; none for anything else.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let seconds = text.parse::<Timestamp>().ok()?.as_second().try_into().ok()?;
    rfc3339(seconds).is_ok_and(|written| written == text).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds).unwrap(), text);
            assert_eq!(super::seconds(text), Some(seconds));
        }
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2024-01-01T00:00:00+01:00",
            "2024-01-01",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(super::seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_that_rfc_3339_cannot_write_is_refused() {
        for seconds in [253_402_300_800, u64::MAX] {
            let error = rfc3339(seconds).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{seconds} seconds after 1970 are beyond the year 9999")
            );
        }
    }
}
