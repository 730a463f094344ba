//! The routes. HTTP only parses, checks and tokenises; the compute thread does the rest.

mod body;
mod json;
mod predict;
mod probes;
mod problem;
pub(crate) mod stamp;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use crate::server::Shared;

/// All routes over one server.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        // HEAD is refused here because FastAPI does.
        .route("/", only("GET", get(probes::status).head(|| not_allowed("GET"))))
        .route("/predict", only("POST", post(predict::predict)))
        .route("/livez", only("GET", get(probes::livez)))
        .route("/startupz", only("GET", get(probes::startupz)))
        .route("/readyz", only("GET", get(probes::readyz)))
        .route("/metrics", only("GET", get(probes::metrics)))
        .route("/v1/provenance", only("GET", get(probes::provenance)))
        .fallback(async || problem::detail(StatusCode::NOT_FOUND, "Not Found"))
        .layer(from_fn_with_state(Arc::clone(shared), stamp::stamp))
        .with_state(Arc::clone(shared))
}

/// Answers any other method as FastAPI does.
fn only(method: &'static str, route: MethodRouter<Arc<Shared>>) -> MethodRouter<Arc<Shared>> {
    route.fallback(move || not_allowed(method))
}

async fn not_allowed(method: &'static str) -> Response {
    let mut answer = problem::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
    answer
}
