//! How fast the compute thread is, learnt from its batches, and so how long a text will have to
//! wait.

use std::time::{Duration, Instant};

/// So many tokens ago a batch counts half.
const MEMORY_TOKENS: f64 = 4096.0;

/// What has been learnt, and what is being computed now.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    /// Both fade with every token; their quotient is the speed. Large batches weigh more, and they
    /// are what a queue becomes.
    tokens: f64,
    seconds: f64,
    computing: Option<(usize, Instant)>,
}

impl Throughput {
    /// A batch begins.
    pub(crate) fn begin(&mut self, n_tokens: usize, now: Instant) {
        self.computing = Some((n_tokens, now));
    }

    /// The batch is over.
    pub(crate) fn end(&mut self, now: Instant) {
        let Some((n_tokens, began)) = self.computing.take() else { return };
        let n_tokens = n_tokens as f64;
        let fade = 0.5_f64.powf(n_tokens / MEMORY_TOKENS);
        self.tokens = self.tokens * fade + n_tokens;
        self.seconds = self.seconds * fade + now.saturating_duration_since(began).as_secs_f64();
    }

    /// Tokens per second; 0 before the first batch.
    pub(crate) fn tokens_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.tokens / self.seconds } else { 0.0 }
    }

    /// How long it takes until `n_waiting` tokens, and what is being computed, are done. Nothing
    /// before the first batch is over.
    pub(crate) fn wait(&self, n_waiting: usize, now: Instant) -> Duration {
        if self.tokens == 0.0 {
            return Duration::ZERO;
        }
        let per_token = self.seconds / self.tokens;
        let rest = self.computing.map_or(0.0, |(n_tokens, began)| {
            (n_tokens as f64 * per_token - now.saturating_duration_since(began).as_secs_f64())
                .max(0.0)
        });
        Duration::try_from_secs_f64(n_waiting as f64 * per_token + rest).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_what_waits_and_the_rest_of_what_is_computed() {
        let (mut throughput, start) = (Throughput::default(), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert_eq!(throughput.wait(1000, at(0)), Duration::ZERO, "nothing is known yet");
        throughput.begin(1000, at(0));
        throughput.end(at(1000));
        assert!((throughput.tokens_per_second() - 1000.0).abs() < 1e-6);
        throughput.begin(500, at(1000));
        assert!((throughput.wait(1000, at(1200)).as_secs_f64() - 1.3).abs() < 1e-6);
        assert!(
            (throughput.wait(1000, at(9000)).as_secs_f64() - 1.0).abs() < 1e-6,
            "it is overdue, but owes nothing"
        );
    }

    #[test]
    fn a_change_of_pace_is_learnt_within_a_few_batches() {
        let (mut throughput, mut now) = (Throughput::default(), Instant::now());
        for (n_batches, millis) in [(20, 1000), (12, 250)] {
            for _ in 0..n_batches {
                throughput.begin(1024, now);
                now += Duration::from_millis(millis);
                throughput.end(now);
            }
        }
        assert!(
            (3000.0..4100.0).contains(&throughput.tokens_per_second()),
            "{}",
            throughput.tokens_per_second()
        );
    }
}
