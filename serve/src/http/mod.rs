//! The routes. HTTP only parses, checks and tokenises; the compute thread does the rest.

mod body;
mod cors;
mod json;
mod kserve;
mod middleware;
mod pages;
mod predict;
mod probes;
mod problem;
mod protocol;
mod request_id;
mod tei;
mod tensors;
mod trace;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use self::request_id::RequestIds;
use crate::shared::Shared;

/// Paths that stand as they are in the table below.
const PATHS: [&str; 20] = [
    "/",
    "/livez",
    "/startupz",
    "/readyz",
    "/metrics",
    "/health",
    "/info",
    "/v1/provenance",
    "/v1/models",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/openapi.json",
    "/docs",
    "/docs/docs.js",
    "/ui",
    "/ui/ui.js",
    "/ui/page.css",
    "/predict",
    "/rerank",
];

/// All routes over one server.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let around = (Arc::clone(shared), Arc::new(RequestIds::new()));
    Router::new()
        // HEAD is refused here because FastAPI does.
        .route("/", only("GET", get(pages::root).head(|| not_allowed("GET"))))
        .route("/predict", only("POST", post(predict::predict)))
        .route("/rerank", only("POST", post(tei::rerank)))
        .route("/livez", only("GET", get(probes::livez)))
        .route("/startupz", only("GET", get(probes::startupz)))
        .route("/readyz", only("GET", get(probes::readyz)))
        .route("/metrics", only("GET", get(probes::metrics)))
        .route("/health", only("GET", get(tei::health)))
        .route("/info", only("GET", get(tei::info)))
        .route("/v1/provenance", only("GET", get(probes::provenance)))
        .route("/v1/models", only("GET", get(kserve::models_v1)))
        .route(
            "/v1/models/{name}",
            get(kserve::model_v1)
                .post(kserve::predict_v1)
                .head(kserve::wrong_method_v1)
                .fallback(kserve::wrong_method_v1),
        )
        .route("/v2", only("GET", get(kserve::server)))
        .route("/v2/health/live", only("GET", get(kserve::live)))
        .route("/v2/health/ready", only("GET", get(kserve::ready)))
        .route("/v2/models/{name}", only("GET", get(kserve::model)))
        .route("/v2/models/{name}/ready", only("GET", get(kserve::model_ready)))
        .route("/v2/models/{name}/infer", only("POST", post(kserve::infer)))
        .route("/v2/models/{name}/versions/{version}", only("GET", get(kserve::model)))
        .route("/v2/models/{name}/versions/{version}/ready", only("GET", get(kserve::model_ready)))
        .route("/v2/models/{name}/versions/{version}/infer", only("POST", post(kserve::infer)))
        .route("/openapi.json", only("GET", get(pages::openapi)))
        .route("/docs", only("GET", get(pages::docs)))
        .route("/docs/docs.js", only("GET", get(pages::docs_script)))
        .route("/ui", only("GET", get(pages::ui)))
        .route("/ui/ui.js", only("GET", get(pages::ui_script)))
        .route("/ui/page.css", only("GET", get(pages::style)))
        .fallback(elsewhere)
        .layer(from_fn_with_state(Arc::clone(shared), cors::cors))
        .layer(from_fn_with_state(around, middleware::around))
        .with_state(Arc::clone(shared))
}

/// Answers any other method as FastAPI does.
fn only(method: &'static str, route: MethodRouter<Arc<Shared>>) -> MethodRouter<Arc<Shared>> {
    route.fallback(move || not_allowed(method))
}

pub(crate) async fn not_allowed(method: &'static str) -> Response {
    let mut answer = problem::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
    answer
}

/// Sends whoever has a slash too many to where the route is, as Starlette does; all others get its
/// 404.
async fn elsewhere(request: Request) -> Response {
    let (path, host) = (request.uri().path(), request.headers().get(header::HOST));
    let bare = path.trim_end_matches('/');
    let known = Some(bare).filter(|bare| *bare != path && PATHS.contains(bare));
    let target = known.zip(host.and_then(|host| host.to_str().ok())).map(|(path, host)| {
        let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
        format!("http://{host}{path}{query}")
    });
    match target.and_then(|target| HeaderValue::from_str(&target).ok()) {
        Some(target) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        None => problem::detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}
