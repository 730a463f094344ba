//! The day, as people write it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::env;

/// The day in UTC, or that of `SOURCE_DATE_EPOCH`: `2026-11-28`.
pub(super) fn today() -> anyhow::Result<String> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(day(env::source_date_epoch()?.unwrap_or_else(now)))
}

/// Counts years and months off, in the calendar that everybody has used since 1970.
fn day(seconds: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // No clock says more, and a number from outside does not decide how long this takes.
    let (mut days, mut year) = ((seconds / 86_400).min(3_000_000), 1970);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date -u -d @SECONDS +%F` says it.
    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_764_288_000, "2025-11-28"),
            (1_798_675_199, "2026-12-30"),
            (1_798_761_600, "2027-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds), expected, "{seconds}");
        }
    }
}
