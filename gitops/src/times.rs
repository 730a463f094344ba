//! The times of a served model, from one set of numbers: how long a pod may take to come, to answer
//! and to go. Whoever changes one finds the others here, and the tests below say how they fit.

use std::time::Duration;

/// How long a request may take; what is rendered tells the server, and a server that is told nothing
/// has the same.
pub const REQUEST: Duration = Duration::from_secs(60);

/// What a server has beyond its longest request, to say 504 to whoever waits, and to end.
pub const MARGIN: Duration = Duration::from_secs(5);

/// How long a pod that goes is still sent requests, as others need time to hear of it.
pub const PRE_STOP: Duration = Duration::from_secs(5);

/// A probe: how often it asks, how long it waits for the answer, and how many failures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Seconds between two questions.
    pub period: u64,
    /// Seconds until a question without an answer has failed.
    pub timeout: u64,
    /// How many failures in a row count.
    pub failures: u64,
}

impl Probe {
    /// How long it takes at most until a server that answers no more is known to.
    pub fn notices_within(self) -> Duration {
        Duration::from_secs(self.period * self.failures + self.timeout)
    }
}

/// Asked every second, so that a pod is ready the moment that its model is loaded; how often at most
/// follows from the model.
pub const STARTUP_PERIOD: u64 = 1;

/// Whether requests should come.
pub const READINESS: Probe = Probe { period: 5, timeout: 2, failures: 2 };

/// Whether only a restart would help. A process that does not answer needs no time to say goodbye:
/// its grace is the margin, not that of a pod that ends well.
pub const LIVENESS: Probe = Probe { period: 10, timeout: 5, failures: 3 };

/// How long a server may go on answering what has begun: its longest request, and the margin.
pub fn drain(request: Duration) -> Duration {
    request.saturating_add(MARGIN)
}

/// How long a pod may take to go: preStop, what has begun, and the margin.
pub fn grace(request: Duration) -> Duration {
    PRE_STOP.saturating_add(drain(request)).saturating_add(MARGIN)
}

/// How long loading a model may take: a minute, and its weights at 16 MiB/s, as of a slow network
/// disk. (distilbert-base: 76 s; on a local disk it takes 0.2 s.)
pub fn startup(weight_bytes: u64) -> Duration {
    Duration::from_secs(60 + weight_bytes.div_ceil(16 << 20))
}

/// The same where the server itself brings the model first, at 8 MiB/s.
pub fn startup_with_pull(weight_bytes: u64) -> Duration {
    startup(weight_bytes) + Duration::from_secs(weight_bytes.div_ceil(8 << 20))
}

/// How long a rollout may go without progress: startup, and a minute and the weights at 8 MiB/s for
/// the node and the pull, in whole minutes. (distilbert-base: 3 min; measured were 4.7 s.)
///
/// A commit that repairs a bad release waits for it where Flux waits for health, so it is no longer
/// than it must be.
pub fn progress(weight_bytes: u64) -> Duration {
    let pull = Duration::from_secs(60 + weight_bytes.div_ceil(8 << 20));
    let seconds = startup(weight_bytes).saturating_add(pull).as_secs();
    Duration::from_secs(seconds.div_ceil(60).saturating_mul(60))
}

/// How long Flux waits for health: longer than a rollout may take, so that it can tell why one
/// stopped. One that stops is given up when its progress deadline is over, and not only then.
pub fn health(rollout: Duration) -> Duration {
    rollout.saturating_add(Duration::from_secs(60))
}

/// How long a rollout may take that brings one pod after the other, each with the whole of the
/// progress deadline.
pub fn one_by_one(progress: Duration, n_pods: u32) -> Duration {
    progress.saturating_mul(n_pods.max(1))
}

/// The same without word of how many at a time: a Deployment brings a quarter of its pods.
pub fn by_quarters(progress: Duration, n_pods: u32) -> Duration {
    let at_a_time = n_pods.div_ceil(4).max(1);
    one_by_one(progress, n_pods.div_ceil(at_a_time))
}

/// How long Helm takes to give up what fails: an attempt and its rollback, and both once more.
pub fn helm(action: Duration) -> Duration {
    action.saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_has_begun_ends_before_its_pod_is_killed() {
        for request in [Duration::from_secs(1), REQUEST, Duration::from_secs(3600)] {
            // The last request may come at the end of preStop.
            assert!(PRE_STOP + request < grace(request));
            assert!(request < drain(request) && PRE_STOP + drain(request) < grace(request));
        }
    }

    #[test]
    fn a_rollout_has_time_for_its_startup_and_flux_for_the_rollout() {
        for weights in [0, 1, 267_832_560, 8 << 30, u64::MAX] {
            assert!(startup(weights) < progress(weights), "{weights}");
            assert!(startup_with_pull(weights) <= progress(weights), "{weights}");
            assert!(progress(weights) < health(progress(weights)), "{weights}");
        }
        assert_eq!(startup(267_832_560).as_secs(), 76);
        assert_eq!(progress(267_832_560).as_secs(), 180);
    }

    #[test]
    fn pods_come_a_quarter_at_a_time() {
        let minute = Duration::from_secs(60);
        let minutes = [0, 1, 3, 4, 5, 8, 9, 100].map(|n| by_quarters(minute, n).as_secs() / 60);
        assert_eq!(minutes, [1, 1, 3, 4, 3, 4, 3, 4]);
    }

    #[test]
    fn a_server_that_hangs_is_killed_within_a_minute() {
        assert!(LIVENESS.notices_within() + MARGIN <= Duration::from_secs(60));
    }
}
