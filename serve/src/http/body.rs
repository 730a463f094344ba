//! A request's body, within the limits.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::budget::Reservation;
use crate::shared::Shared;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than one body may be.
    TooLarge,
    /// All bodies together would be larger than they may be.
    NoRoom,
    /// It did not come in time.
    TooSlow,
    /// It broke off, or is not what it says it is.
    Broken,
}

impl Unread {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    /// As FastAPI says it, where it does.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::TooLarge => "Content Too Large",
            Self::NoRoom => "Service Unavailable",
            Self::TooSlow => "Request Timeout",
            Self::Broken => "There was an error parsing the body",
        }
    }
}

/// Reads a body; what it holds is counted for as long as the reservation lives.
pub(crate) async fn read<'a>(
    body: Body,
    shared: &'a Shared,
) -> Result<(Bytes, Reservation<'a>), Unread> {
    let (max_bytes, patience) = (shared.options.max_body_bytes, shared.options.body_timeout);
    if axum::body::HttpBody::size_hint(&body).lower() > max_bytes as u64 {
        return Err(Unread::TooLarge);
    }
    timeout(patience, collect(body, max_bytes, shared)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn collect(
    mut body: Body,
    max_bytes: usize,
    shared: &Shared,
) -> Result<(Bytes, Reservation<'_>), Unread> {
    let (mut bytes, mut reservation) = (BytesMut::new(), shared.bodies.reserve());
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if bytes.len() + chunk.len() > max_bytes {
            return Err(Unread::TooLarge);
        }
        if !reservation.try_grow(chunk.len()) {
            return Err(Unread::NoRoom);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes.freeze(), reservation))
}

/// `application/json` and `application/*+json`; FastAPI takes anything else, and nothing, for plain
/// bytes.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.strip_prefix("application/").is_some_and(|subtype| {
        !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json"))
    })
}

/// Without the byte order mark that some clients send.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf".as_slice()).unwrap_or(body)
}
