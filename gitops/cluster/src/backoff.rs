//! The pauses between the runs of a container.

use std::time::Duration;

/// The longest one. The kubelet's begin at 10 s and grow to 5 min: too long to watch.
const LONGEST: Duration = Duration::from_secs(30);
/// A run of this length is a success, after which the pauses begin anew.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// How long the next pause is: none at first, then 1 s, 2 s, 4 s, …
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The pause after a run, or an attempt at one, that lasted for `ran`.
    pub(crate) fn after(&mut self, ran: Duration) -> Duration {
        if ran > GOOD_RUN {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = (pause * 2).clamp(Duration::from_secs(1), LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let mut pauses = |ran: u64, n: usize| -> Vec<u64> {
            (0..n).map(|_| backoff.after(Duration::from_secs(ran)).as_secs()).collect()
        };
        assert_eq!(pauses(1, 8), [0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pauses(60, 1), [30], "a minute is not yet more than a minute");
        assert_eq!(pauses(61, 1), [0]);
        assert_eq!(pauses(59, 3), [1, 2, 4]);
    }
}
