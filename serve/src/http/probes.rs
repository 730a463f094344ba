//! Health, metrics and provenance: answered without the compute thread.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;

use super::json::Quoted;
use super::middleware::AnsweredBy;
use super::problem::json;
use crate::lifecycle::Lifecycle;
use crate::metrics::{self, Gauges, LoadedModel};
use crate::model::Model;
use crate::shared::Shared;
use crate::traffic::Role;

/// `GET /`, as in the tutorial.
pub(crate) async fn status() -> Response {
    json(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

/// The process answers.
pub(crate) async fn livez() -> Response {
    said(StatusCode::OK, "alive")
}

/// The first forward pass is over, and was right.
pub(crate) async fn startupz(State(shared): State<Arc<Shared>>) -> Response {
    match &*shared.lifecycle.borrow() {
        Lifecycle::Starting => said(StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Lifecycle::Failed(reason) => said(StatusCode::SERVICE_UNAVAILABLE, reason),
        Lifecycle::Ready | Lifecycle::Draining => said(StatusCode::OK, "started"),
    }
}

/// New requests are welcome.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match &*shared.lifecycle.borrow() {
        Lifecycle::Starting => said(StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Lifecycle::Failed(reason) => said(StatusCode::SERVICE_UNAVAILABLE, reason),
        Lifecycle::Draining => said(StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Lifecycle::Ready => said(StatusCode::OK, "ready"),
    }
}

fn said(status: StatusCode, what: &str) -> Response {
    json(status, format!("{{\"status\":{}}}", Quoted(what)))
}

/// What is counted, in Prometheus' text format.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let (queued_texts, queued_tokens) = shared.queue.depth();
    let model = |(role, model): (Role, &Arc<Model>)| LoadedModel {
        digest: model.version_name().to_owned(),
        reference: model.identity.reference.clone().unwrap_or_default(),
        role: role.name(),
    };
    let gauges = Gauges {
        queued_texts,
        queued_tokens,
        in_flight: *shared.in_flight.borrow(),
        ready: *shared.lifecycle.borrow() == Lifecycle::Ready,
        tokens_per_second: shared.queue.tokens_per_second(),
        models: shared.traffic.load().models().map(model).collect(),
    };
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, content_type)], shared.metrics.render(gauges)).into_response()
}

/// Who the model is. The manifest's bytes stand in the answer as they came, so its digest can be
/// checked.
pub(crate) async fn provenance(State(shared): State<Arc<Shared>>) -> Response {
    let model = shared.stable();
    let identity = &model.identity;
    let string = |text: &Option<String>| {
        text.as_ref().map_or("null".to_owned(), |text| Quoted(text).to_string())
    };
    let kitfile = identity.kitfile.as_ref().map_or("null".to_owned(), ToString::to_string);
    let manifest = identity
        .manifest
        .as_deref()
        .filter(|bytes| serde_json::from_slice::<IgnoredAny>(bytes).is_ok());
    let manifest = manifest.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("null");
    let (digest, reference) = (string(&identity.digest), string(&identity.reference));
    let body = format!(
        "{{\"digest\":{digest},\"reference\":{reference},\"kitfile\":{kitfile},\"manifest\":{manifest}}}"
    );
    let mut answer = json(StatusCode::OK, body);
    answer.extensions_mut().insert(AnsweredBy { model, usage: None });
    answer
}
