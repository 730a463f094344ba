//! What an observer is told about each answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Whoever wants to hear of each answer; called on the thread that gave it, so it must be quick.
pub(crate) type Observer = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// One request and its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// The method, or `other`.
    pub method: &'static str,
    /// The route's pattern, or `unmatched`.
    pub route: String,
    /// The answer's status.
    pub status: u16,
    /// When its head had been read.
    pub started: SystemTime,
    /// From then to the answer's head.
    pub duration: Duration,
    /// The request's id, the client's own or ours.
    pub request_id: String,
    /// Where the request stands in a distributed trace.
    pub trace: Trace,
    /// The digest of the model that answered, if it has one.
    pub digest: Option<String>,
    /// What was computed, if anything was.
    pub usage: Option<Usage>,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Texts that were classified.
    pub n_texts: usize,
    /// Their tokens.
    pub n_tokens: usize,
    /// Texts whose end was cut off.
    pub n_truncated: usize,
    /// Time for tokenising.
    pub tokenised: Duration,
    /// The longest wait for the compute thread.
    pub waited: Duration,
    /// The longest computation.
    pub computed: Duration,
}

/// W3C trace context of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Of the whole trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// Of this request, 16 hexadecimal digits.
    pub span_id: String,
    /// Of whoever asked, where it said so.
    pub parent_id: Option<String>,
    /// Whether the trace is being recorded; as asked, and true where nobody asked.
    pub sampled: bool,
}
