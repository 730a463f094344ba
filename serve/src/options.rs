//! The limits and times of a server.

use std::time::Duration;

/// Limits and times of a server. What a client can make it hold is bounded by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Tokens that may wait; a request beyond them is refused with 429.
    pub max_queue_tokens: usize,
    /// Tokens computed at once, at most; a single text may have more.
    pub max_batch_tokens: usize,
    /// Size of a request body in bytes, at most; beyond it 413.
    pub max_body_bytes: usize,
    /// Texts in one request, at most; beyond it 422.
    pub max_texts: usize,
    /// Requests whose long texts are tokenised at once; further ones wait for their turn.
    pub max_preparing: usize,
    /// How long a client may take to send a request's head, also the first or next one of an idle connection.
    pub head_timeout: Duration,
    /// How long a client may take to send a request's body; beyond it 408.
    pub body_timeout: Duration,
    /// How long new connections are still accepted after shutdown was asked for, while `/readyz` already says no.
    pub drain_delay: Duration,
    /// How long an idle kept-alive connection may still bring a request once new ones are no longer accepted.
    pub drain_linger: Duration,
    /// When everything is over, counted from when shutdown was asked for.
    pub drain_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_queue_tokens: 16_384,
            max_batch_tokens: 1024,
            max_body_bytes: 1 << 20,
            max_texts: 128,
            max_preparing: 2,
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            drain_linger: Duration::from_millis(50),
            drain_timeout: Duration::from_secs(25),
        }
    }
}
