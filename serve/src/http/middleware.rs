//! What happens around every request: its id, the headers of its answer, and who hears of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::detail;
use super::request_id::{RequestId, RequestIds};
use super::trace::trace;
use crate::model::Model;
use crate::observer::{Exchange, Usage};
use crate::shared::Shared;

/// Set on an answer by whoever used a model for it; other answers carry the model that is served
/// now.
#[derive(Clone)]
pub(super) struct AnsweredBy {
    pub(super) model: Arc<Model>,
    /// What was computed, if anything was.
    pub(super) usage: Option<Usage>,
}

/// Answers one request: its headers say which request it was, which model answered, and whether the
/// connection ends.
pub(super) async fn around(
    State((shared, ids)): State<(Arc<Shared>, Arc<RequestIds>)>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let (began, started) = (Instant::now(), SystemTime::now());
    let id = ids.of(request.headers());
    request.extensions_mut().insert(RequestId(id.to_str().unwrap_or_default().into()));
    let (trace, is_traced) =
        (trace(request.headers()), request.headers().contains_key("traceparent"));
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut over = shared.over.subscribe();
    let mut answer = tokio::select! {
        biased;
        answer = next.run(request) => answer,
        _ = over.wait_for(|over| *over) => gone(),
    };
    let AnsweredBy { model, usage } = answer
        .extensions_mut()
        .remove()
        .unwrap_or_else(|| AnsweredBy { model: shared.stable(), usage: None });
    let exchange = Exchange {
        method,
        route: route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned(),
        status: answer.status().as_u16(),
        started,
        duration: began.elapsed(),
        request_id: id.to_str().unwrap_or_default().to_owned(),
        trace,
        digest: model.identity.digest.clone(),
        usage,
    };
    let headers = answer.headers_mut();
    headers.insert("x-request-id", id);
    insert(headers, "x-modelkit-digest", model.identity.digest.as_deref());
    insert(headers, "x-model-version", model.identity.reference.as_deref());
    if is_traced {
        let (trace, flags) = (&exchange.trace, u8::from(exchange.trace.sampled));
        let value = format!("00-{}-{}-{flags:02x}", trace.trace_id, trace.span_id);
        insert(headers, "traceresponse", Some(&value));
    }
    if shared.closing.load(Ordering::Relaxed) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    tell(&shared, &exchange);
    answer
}

/// What is said to whoever still waits when the server ends: another one may have time.
fn gone() -> Response {
    let mut answer = detail(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// A text that a header cannot carry is left out.
fn insert(headers: &mut HeaderMap, name: &'static str, text: Option<&str>) {
    if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(name, value);
    }
}

/// Counts, logs, and lets the observer know.
fn tell(shared: &Shared, exchange: &Exchange) {
    let Exchange { method, route, status, duration, request_id, trace, digest, usage, .. } =
        exchange;
    shared.metrics.request(exchange);
    let usage = usage.unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    // Probes come every second; they are only shown to whoever wants to see everything.
    if matches!(route.as_str(), "/livez" | "/startupz" | "/readyz" | "/health" | "/metrics") {
        tracing::trace!(method, route, status, duration_ms = millis(*duration), "answered");
    } else {
        tracing::info!(
            method,
            route,
            status,
            duration_ms = millis(*duration),
            request_id,
            trace_id = trace.trace_id,
            span_id = trace.span_id,
            digest,
            n_texts = usage.n_texts,
            n_tokens = usage.n_tokens,
            n_truncated = usage.n_truncated,
            queue_ms = millis(usage.waited),
            compute_ms = millis(usage.computed),
            "answered"
        );
    }
    if let Some(observer) = shared.observer.get() {
        observer(exchange);
    }
}

/// Clients can invent methods; the metrics know these.
fn known_method(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        .into_iter()
        .find(|known| method == known)
        .unwrap_or("other")
}
