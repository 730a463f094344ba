//! A request's id: the client's own, or a new one.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderValue};

/// Set on a request: its id.
#[derive(Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);

/// Gives out ids that differ between requests and between processes. They are no secret.
pub(super) struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { process: RandomState::new().hash_one("process"), count: AtomicU64::new(0) }
    }

    /// The client's own id where it is harmless in logs, else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let sane = |id: &&HeaderValue| {
            (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        headers.get("x-request-id").filter(sane).cloned().unwrap_or_else(|| self.next())
    }

    fn next(&self) -> HeaderValue {
        let id = format!("{:016x}-{:x}", self.process, self.count.fetch_add(1, Ordering::Relaxed));
        HeaderValue::from_str(&id).expect("hexadecimal digits are a header's value")
    }
}
