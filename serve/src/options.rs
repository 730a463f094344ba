//! The limits and times of a server.

use std::time::Duration;

use tokio::sync::Semaphore;

/// Limits and times of a server. What clients can make it hold is bounded by them:
/// at most `max_connections` heads of 16 KiB, `max_buffered_bytes` of bodies and as many again of
/// the texts in them, and `max_queue_tokens` plus one request of `max_texts` texts in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// What the Open Inference Protocol calls the model.
    pub model_name: String,
    /// Origins whose pages may ask (`https://app.example`), or `*` for all; by default none but the
    /// server's own.
    pub cors_origins: Vec<String>,
    /// Tokens that may wait; a request beyond them is refused with 429.
    pub max_queue_tokens: usize,
    /// How long a request may have to wait by what the server has learnt of its speed; beyond it
    /// 429.
    pub max_queue_wait: Duration,
    /// Tokens computed at once, at most; a single text may have more.
    pub max_batch_tokens: usize,
    /// Size of a request body in bytes, at most; beyond it 413.
    pub max_body_bytes: usize,
    /// Bytes of all request bodies that are held at the same time; beyond it 503.
    pub max_buffered_bytes: usize,
    /// Texts in one request, at most; beyond it 422.
    pub max_texts: usize,
    /// Connections at the same time; a further one gets a short 503 and is closed.
    pub max_connections: usize,
    /// Requests whose long texts are tokenised at once; further ones wait for their turn.
    pub max_preparing: usize,
    /// How long a request may take from its head to its answer; beyond it 504. A client can ask for
    /// less with `X-Request-Timeout-Ms`.
    pub request_timeout: Duration,
    /// How long a client may take to send a request's head, also the first or next one of an idle
    /// connection.
    pub head_timeout: Duration,
    /// How long a client may take to send a request's body; beyond it 408.
    pub body_timeout: Duration,
    /// How long new connections are still accepted after shutdown was asked for, while `/readyz`
    /// already says no.
    pub drain_delay: Duration,
    /// How long an idle kept-alive connection may still bring a request once new ones are no longer
    /// accepted; a tenth of it where nobody has asked anything for a second.
    pub drain_linger: Duration,
    /// When everything is over, counted from when shutdown was asked for: longer than a request may
    /// take, or some get 503 then.
    pub drain_timeout: Duration,
}

/// Longer times than a year are taken for a year, so that a point in time can always be told.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl ServeOptions {
    /// The same limits, within what can be counted.
    pub(crate) fn bounded(mut self) -> Self {
        for time in [
            &mut self.max_queue_wait,
            &mut self.request_timeout,
            &mut self.head_timeout,
            &mut self.body_timeout,
            &mut self.drain_delay,
            &mut self.drain_linger,
            &mut self.drain_timeout,
        ] {
            *time = MAX_TIME.min(*time);
        }
        self.max_preparing = self.max_preparing.clamp(1, Semaphore::MAX_PERMITS);
        self
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            model_name: "model".to_owned(),
            cors_origins: Vec::new(),
            max_queue_tokens: 16_384,
            max_queue_wait: Duration::from_secs(1),
            max_batch_tokens: 1024,
            max_body_bytes: 1 << 20,
            max_buffered_bytes: 64 << 20,
            max_texts: 128,
            max_connections: 4096,
            max_preparing: 2,
            request_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            drain_linger: Duration::from_millis(500),
            drain_timeout: Duration::from_secs(65),
        }
    }
}
