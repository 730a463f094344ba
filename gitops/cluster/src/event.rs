//! What a cluster has to tell while it runs.

use std::fmt;
use std::sync::Arc;

/// Hears what happens, on whatever thread it happens.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What it happened to: `pod default/web-1`, `kustomization flux-system/app`, `cluster`, …
    pub subject: String,
    /// What happened.
    pub message: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

/// The listener, if there is one.
#[derive(Clone)]
pub(crate) struct Events(pub(crate) Option<Listener>);

impl Events {
    pub(crate) fn tell(&self, subject: impl Into<String>, message: impl Into<String>) {
        if let Some(listener) = &self.0 {
            listener(Event { subject: subject.into(), message: message.into() });
        }
    }
}
