//! Leave for pages of other origins. Source: the Fetch standard, "HTTP extensions" of CORS.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::shared::Shared;

/// Headers of answers that pages may read besides those that any page may.
const EXPOSED: &str = "x-request-id, x-modelkit-digest, x-model-version, x-tokens, x-truncated, server-timing, retry-after, traceresponse";

/// Headers that pages may send.
const ALLOWED: &str = "content-type, x-request-id, x-request-timeout-ms, traceparent";

/// How long a browser may remember it, in seconds.
const MAX_AGE: &str = "600";

/// Answers a browser's question before the real one, and says on every answer who may read it.
pub(super) async fn cors(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let allowed = &shared.options.cors_origins;
    if allowed.is_empty() {
        return next.run(request).await;
    }
    let leave = leave(allowed, request.headers());
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = answer.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = leave else { return answer };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let say: &[(HeaderName, &str)] = match is_preflight {
        true => &[
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ],
        false => &[(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)],
    };
    for (name, value) in say {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// What is said to the origin that asks, if it may.
fn leave(allowed: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    if allowed.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}
