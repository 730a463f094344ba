//! Waits between two attempts: how long, and who is told of them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{location, retry};
use crate::client::{ClientOptions, OnWait};
use crate::{Error, HttpError};

/// A wait of this length is told; shorter ones are over before anybody wonders.
const NOTICEABLE: Duration = Duration::from_secs(1);

/// How long is waited between two attempts, and who is told.
pub(super) struct Waits {
    retries: u32,
    backoff: Duration,
    on: OnWait,
    /// Until when somebody who was told of a wait knows: several transfers wait together.
    told_until: Mutex<Option<Instant>>,
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits").field("retries", &self.retries).finish_non_exhaustive()
    }
}

impl Waits {
    pub(super) fn new(options: &ClientOptions) -> Self {
        Self {
            retries: options.retries,
            backoff: options.backoff,
            on: options.on_wait.clone(),
            told_until: Mutex::default(),
        }
    }

    /// Says whether there is patience left after so many failures.
    pub(super) fn lasts(&self, failures: u32) -> bool {
        failures <= self.retries
    }

    /// Says whether it is worth waiting after so many failures, this error being the last: not
    /// after too many, and not where the server wants to be left alone for longer than anybody
    /// waits.
    pub(super) fn goes_on(&self, failures: u32, error: &Error) -> bool {
        self.lasts(failures) && !asked(error).is_some_and(retry::is_too_long)
    }

    /// Waits as the number of failures says, or as the server has asked; says why, where that is
    /// long enough to be noticed.
    pub(super) async fn wait(&self, failures: u32, error: &Error) {
        let asked = asked(error);
        let wait = retry::wait(failures, self.backoff, asked);
        if (asked.is_some() || wait >= NOTICEABLE) && self.is_news(wait) {
            (self.on)(&reason(error), wait);
        }
        tokio::time::sleep(wait).await;
    }

    fn is_news(&self, wait: Duration) -> bool {
        let now = Instant::now();
        let mut told_until = self.told_until.lock().unwrap_or_else(PoisonError::into_inner);
        if told_until.is_some_and(|until| now < until) {
            return false;
        }
        *told_until = Some(now + wait);
        true
    }
}

/// How long the server has asked to be left alone.
fn asked(error: &Error) -> Option<Duration> {
    match error {
        Error::Http(HttpError::Status { retry_after, .. }) => *retry_after,
        _ => None,
    }
}

/// Who makes us wait, in its own words.
fn reason(error: &Error) -> String {
    match error {
        Error::Http(HttpError::Status { url, status, reasons, .. }) => {
            let colon = if reasons.is_empty() { "" } else { ": " };
            format!("{} answered {status}{colon}{reasons}", location::host_of(url))
        }
        error => error.to_string(),
    }
}
