//! Where a server is in its life.

use std::error::Error as _;
use std::sync::Arc;

use crate::error::Error;

/// Where a server is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifecycle {
    /// The first forward pass is not over.
    Starting,
    /// `/readyz` says yes.
    Ready,
    /// The first forward pass failed, with this reason; a [`Handle::swap`](crate::Handle::swap) can
    /// help.
    Failed(Arc<str>),
    /// On its way out: still answering, but `/readyz` says no.
    Draining,
}

impl Lifecycle {
    /// A model has passed its self-test; says whether that changes anything.
    pub(crate) fn succeed(&mut self) -> bool {
        let waits = matches!(self, Self::Starting | Self::Failed(_));
        if waits {
            *self = Self::Ready;
        }
        waits
    }

    /// A model has failed its self-test; says whether that changes anything.
    pub(crate) fn fail(&mut self, error: &Error) -> bool {
        let starts = *self == Self::Starting;
        if starts {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            *self = Self::Failed(format!("{error}{cause}").into());
        }
        starts
    }
}
