//! The header that shows a registry a credential or a token.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

/// A header value that a registry has asked for.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    pub(super) until: Option<Instant>,
    /// Whether a credential stands behind it, or it is anonymous.
    pub(super) is_known: bool,
}

impl Authorization {
    pub(super) fn new(scheme: &str, secret: &str, lifetime: Option<Duration>) -> Option<Self> {
        let text = Zeroizing::new(format!("{scheme} {secret}"));
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        let until = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        Some(Self { header, until, is_known: true })
    }

    pub(super) fn basic(username: &str, password: &str) -> Option<Self> {
        let text = Zeroizing::new(format!("{username}:{password}"));
        Self::new("Basic", &Zeroizing::new(STANDARD.encode(&*text)), None)
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}
