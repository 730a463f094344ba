//! Pages for people, and the description of the routes for programs. They work offline: nothing is
//! loaded from elsewhere.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::json::Json;
use super::probes;
use super::problem::json;
use crate::shared::Shared;

/// Nothing but our own scripts and styles, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`: the tutorial's status, and for a browser that asks for HTML the page to try the model.
pub(crate) async fn root(headers: HeaderMap) -> Response {
    let accept =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut answer = if accept.contains("text/html") { ui().await } else { probes::status().await };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

/// `GET /ui`
pub(crate) async fn ui() -> Response {
    file("text/html; charset=utf-8", include_str!("pages/ui.html"))
}

/// `GET /ui/ui.js`
pub(crate) async fn ui_script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("pages/ui.js"))
}

/// `GET /ui/page.css`
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("pages/page.css"))
}

/// `GET /docs`
pub(crate) async fn docs() -> Response {
    file("text/html; charset=utf-8", include_str!("pages/docs.html"))
}

/// `GET /docs/docs.js`
pub(crate) async fn docs_script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("pages/docs.js"))
}

/// `GET /openapi.json`: the description with this server's model name and limits in it.
pub(crate) async fn openapi(State(shared): State<Arc<Shared>>) -> Response {
    let template = Json::parse(include_str!("pages/openapi.json"));
    let mut description = template.expect("openapi.json is JSON, which a test reads");
    let (options, model) = (&shared.options, shared.stable());
    let side = if model.predictor.cuts_beginning() { "Left" } else { "Right" };
    fill(&mut description, &|place| match place {
        "VERSION" => Some(Json::String(env!("CARGO_PKG_VERSION").to_owned())),
        "MODEL_NAME" => Some(Json::String(options.model_name.clone())),
        "MODEL_VERSION" => Some(Json::String(model.version_name().to_owned())),
        "TRUNCATION_SIDE" => Some(Json::String(side.to_owned())),
        "truncation_side" => Some(Json::String(side.to_ascii_lowercase())),
        "MAX_TEXTS" => Some(Json::Number(options.max_texts.to_string())),
        _ => None,
    });
    json(StatusCode::OK, description.to_string())
}

/// Puts values in the places of a document that are named as strings.
fn fill(json: &mut Json, value: &impl Fn(&str) -> Option<Json>) {
    match json {
        Json::String(place) => {
            if let Some(value) = value(place) {
                *json = value;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| fill(item, value)),
        Json::Object(entries) => entries.iter_mut().for_each(|(_, entry)| fill(entry, value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers: [(HeaderName, HeaderValue); 5] =
        headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, text).into_response()
}
