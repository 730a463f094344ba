//! The headers of every answer: which model, which request, and whether the connection ends. And
//! what is told of it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, header};
use axum::middleware::Next;
use axum::response::Response;

use super::trace::trace;
use crate::model::Model;
use crate::record::{Served, Work};
use crate::server::Shared;

/// Set on an answer by whoever used a model for it; other answers carry the model that is served
/// now.
#[derive(Clone)]
pub(crate) struct AnsweredBy(pub(crate) Arc<Model>);

/// Set on an answer by whoever computed something for it.
#[derive(Clone)]
pub(crate) struct Done(pub(crate) Work);

/// Set on a request: its id.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Stamps one answer, counts it and tells of it.
pub(crate) async fn stamp(
    State(shared): State<Arc<Shared>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let (began, started) = (Instant::now(), SystemTime::now());
    let id = request_id(request.headers(), &shared.request_ids);
    request.extensions_mut().insert(RequestId(id.to_str().unwrap_or_default().into()));
    let (trace, is_traced) =
        (trace(request.headers()), request.headers().contains_key("traceparent"));
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut answer = next.run(request).await;
    let extensions = answer.extensions_mut();
    let (answered_by, done) = (extensions.remove::<AnsweredBy>(), extensions.remove::<Done>());
    let model = answered_by.map_or_else(|| shared.stable(), |AnsweredBy(model)| model);
    let served = Served {
        method,
        route: route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned(),
        status: answer.status().as_u16(),
        started,
        duration: began.elapsed(),
        request_id: id.to_str().unwrap_or_default().to_owned(),
        trace,
        digest: model.identity.digest.clone(),
        work: done.map(|Done(work)| work),
    };
    let headers = answer.headers_mut();
    headers.insert("x-request-id", id);
    model.digest.clone().map(|digest| headers.insert("x-modelkit-digest", digest));
    model.version.clone().map(|version| headers.insert("x-model-version", version));
    if is_traced {
        let flags = u8::from(served.trace.sampled);
        let value = format!("00-{}-{}-{flags:02x}", served.trace.trace_id, served.trace.span_id);
        HeaderValue::from_str(&value).ok().map(|value| headers.insert("traceresponse", value));
    }
    if shared.closing.load(Ordering::Relaxed) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    tell(&shared, &served);
    answer
}

/// Counts, logs, and lets the observer know.
fn tell(shared: &Shared, served: &Served) {
    let Served { method, route, status, duration, request_id, trace, digest, work, .. } = served;
    shared.metrics.request(route, method, *status, *duration);
    let work = work.unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    // Probes come every second; they are only shown to whoever wants to see everything.
    if matches!(route.as_str(), "/livez" | "/startupz" | "/readyz" | "/metrics") {
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
            n_texts = work.n_texts,
            n_tokens = work.n_tokens,
            n_truncated = work.n_truncated,
            queue_ms = millis(work.waited),
            compute_ms = millis(work.computed),
            "answered"
        );
    }
    if let Some(observer) = shared.observer.get() {
        observer(served);
    }
}

/// The client's own id where it is harmless in logs, else a new one.
fn request_id(headers: &HeaderMap, ids: &RequestIds) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get("x-request-id").filter(sane).cloned().unwrap_or_else(|| ids.next())
}

/// Clients can invent methods; the metrics know these.
fn known_method(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        .into_iter()
        .find(|known| method == known)
        .unwrap_or("other")
}

/// Gives out ids that differ between requests and between processes. They are no secret.
pub(crate) struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { process: RandomState::new().hash_one("process"), count: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let id = format!("{:016x}-{:x}", self.process, self.count.fetch_add(1, Ordering::Relaxed));
        HeaderValue::from_str(&id).expect("hexadecimal digits are a header's value")
    }
}
