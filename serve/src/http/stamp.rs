//! The headers of every answer: which model, which request, and whether the connection ends.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::model::Model;
use crate::server::Shared;

/// Set on an answer by whoever used a model for it; other answers carry the model that is served now.
#[derive(Clone)]
pub(crate) struct AnsweredBy(pub(crate) Arc<Model>);

/// Stamps one answer and counts it.
pub(crate) async fn stamp(State(shared): State<Arc<Shared>>, request: Request<Body>, next: Next) -> Response {
    let id = request_id(request.headers(), &shared.request_ids);
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut answer = next.run(request).await;
    shared.metrics.request(route.as_ref().map_or("unmatched", MatchedPath::as_str), method, answer.status().as_u16());
    let model = answer
        .extensions_mut()
        .remove::<AnsweredBy>()
        .map_or_else(|| shared.model.load_full(), |AnsweredBy(model)| model);
    let headers = answer.headers_mut();
    headers.insert("x-request-id", id);
    model.digest.clone().map(|digest| headers.insert("x-modelkit-digest", digest));
    model.version.clone().map(|version| headers.insert("x-model-version", version));
    if shared.closing.load(Ordering::Relaxed) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// The client's own id where it is harmless in logs, else a new one.
fn request_id(headers: &HeaderMap, ids: &RequestIds) -> HeaderValue {
    let sane = |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
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
