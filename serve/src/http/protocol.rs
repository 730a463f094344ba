//! What the protocols share: until when a client waits, and how HTTP says what came of its texts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::middleware::AnsweredBy;
use crate::classify::{Classified, Refusal};
use crate::observer::Usage;
use crate::shared::Shared;

/// When a client stops waiting: by `X-Request-Timeout-Ms`, at most the server's own limit. `Err`
/// where it is no number of milliseconds.
pub(super) fn deadline(headers: &HeaderMap, shared: &Shared) -> Result<Instant, &'static str> {
    let limit = shared.options.request_timeout;
    let Some(asked) = headers.get("x-request-timeout-ms") else {
        return Ok(Instant::now() + limit);
    };
    let digits = asked.to_str().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("X-Request-Timeout-Ms is not a number of milliseconds");
    }
    // More than fits into a number is more than the limit.
    let asked = digits.parse().map_or(limit, Duration::from_millis);
    Ok(Instant::now() + asked.min(limit))
}

/// How texts were asked about, and so how they are answered.
#[derive(Clone, Copy)]
pub(super) enum Form {
    One,
    List,
}

impl Form {
    /// The JSON of the whole from that of each.
    pub(super) fn join(self, answers: &[String]) -> String {
        match self {
            Self::One => answers.concat(),
            Self::List => format!("[{}]", answers.join(",")),
        }
    }
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::NoModel => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLong | Self::OtherSide | Self::NoPairs => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Busy(_) => "Too Many Requests",
            Self::Late => "Gateway Timeout",
            Self::NoModel => "Service Unavailable",
            Self::Failed => "Internal Server Error",
            Self::TooLong => "the text has more tokens than the model takes",
            Self::OtherSide => "the model cuts long texts at their other end",
            Self::NoPairs => "the model classifies single texts, not pairs",
        }
    }

    /// Says in its header when another try makes sense.
    pub(super) fn onto(self, mut answer: Response) -> Response {
        let seconds = match self {
            Self::Busy(seconds) => seconds,
            Self::NoModel => 1,
            _ => return answer,
        };
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        answer
    }
}

impl Classified {
    /// Says on the answer which model gave it, what it took and whether a text was cut.
    pub(super) fn onto(&self, mut answer: Response) -> Response {
        let Usage { tokenised, waited, computed, n_truncated, n_tokens, .. } = self.usage;
        let [tok, queue, infer] =
            [tokenised, waited, computed].map(|time| time.as_secs_f64() * 1e3);
        let timing = format!("tok;dur={tok:.3}, queue;dur={queue:.3}, infer;dur={infer:.3}");
        let timing =
            HeaderValue::from_str(&timing).expect("digits and punctuation are a header's value");
        answer.headers_mut().insert("server-timing", timing);
        answer.headers_mut().insert("x-tokens", HeaderValue::from(n_tokens));
        if n_truncated > 0 {
            answer.headers_mut().insert("x-truncated", HeaderValue::from_static("true"));
        }
        let (model, usage) = (Arc::clone(&self.model), Some(self.usage));
        answer.extensions_mut().insert(AnsweredBy { model, usage });
        answer
    }
}
