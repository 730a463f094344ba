//! Moments: what restarts, probes, grace periods and roll-outs are computed of. Whoever computes is
//! given the present one, so that tests let hours pass in no time.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime};

/// The longest time that anything here lasts: what objects ask for in seconds has no bound.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A moment by both clocks: the one that only goes forward, and the one that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    instant: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), wall: SystemTime::now() }
    }

    /// How long ago `earlier` was; nothing when it is still to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.instant.saturating_duration_since(earlier.instant)
    }

    /// As the API writes it, to the second.
    pub(crate) fn stamp(self) -> String {
        gitops::get::timestamp(self.wall)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let duration = duration.min(CENTURY);
        Self { instant: self.instant + duration, wall: self.wall + duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_too_long_lasts_a_century() {
        let now = Moment::now();
        let end = now + Duration::from_secs(u64::MAX);
        assert_eq!(end.since(now), CENTURY);
        assert_eq!(now.since(end), Duration::ZERO);
    }
}
