//! What all pages have around them: the head, the way back, the style sheet, and the headers. No
//! page loads anything.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::html::Html;

const STYLE: &str = include_str!("page.css");

/// No scripts, no forms, no frames, nothing from anywhere: only the one style sheet, by its digest.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    policy.parse().expect("a policy is printable ASCII")
});

/// Makes an answer of a page: its title, and where it is below the list of repositories.
pub(super) fn page(
    status: StatusCode,
    title: &str,
    way: &[(String, String)],
    body: &Html,
) -> Response {
    let mut html = Html::default();
    html.markup("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>")
        .text(title)
        .markup("</title><link rel=\"icon\" href=\"data:,\"><style>")
        .markup(STYLE)
        .markup("</style></head><body><nav aria-label=\"Way\" class=\"soft\">")
        .link("/ui", "Repositories");
    for (path, name) in way {
        html.markup(" / ").link(path, name);
    }
    html.markup("</nav><main><h1>").text(title).markup("</h1>").push(body);
    html.markup("</main></body></html>\n");
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY.clone())];
    (status, fixed, policy, html.into_string()).into_response()
}
