//! From a request's body to its texts, or to the answer that FastAPI would give.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::json::Json;
use super::problem::{Problem, detail, unprocessable};
use crate::options::ServeOptions;

/// What a client wants to know about.
#[derive(Debug, PartialEq)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// Reads a body within the limits and checks it.
pub(crate) async fn texts(request: Request<Body>, options: &ServeOptions) -> Result<Texts, Response> {
    let (parts, body) = request.into_parts();
    let body = bytes(body, options.max_body_bytes, options.body_timeout).await?;
    Ok(check(&body, is_json(&parts.headers), options.max_texts)?)
}

async fn bytes(body: Body, max_bytes: usize, patience: Duration) -> Result<Bytes, Response> {
    let too_large = || detail(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large");
    let announced = axum::body::HttpBody::size_hint(&body).lower();
    if announced > max_bytes as u64 {
        return Err(too_large());
    }
    match timeout(patience, Limited::new(body, max_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(unreadable()),
        Err(_) => Err(detail(StatusCode::REQUEST_TIMEOUT, "Request Timeout")),
    }
}

/// `application/json` and `application/*+json`; FastAPI takes anything else, and nothing, for plain bytes.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| !subtype.contains('/') && (subtype == "json" || subtype.ends_with("+json")))
}

/// Why a body has no texts in it.
enum Refusal {
    NotUtf8,
    Problems(Vec<Problem>),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotUtf8 => unreadable(),
            Refusal::Problems(problems) => unprocessable(&problems),
        }
    }
}

fn unreadable() -> Response {
    detail(StatusCode::BAD_REQUEST, "There was an error parsing the body")
}

/// Checks a body as the tutorial's `text: str` does; our extension is that a list of texts is taken too.
fn check(body: &[u8], is_json: bool, max_texts: usize) -> Result<Texts, Refusal> {
    let body = body.strip_prefix(b"\xef\xbb\xbf".as_slice()).filter(|_| is_json).unwrap_or(body);
    if body.is_empty() {
        return Err(Problem::no_body().into());
    }
    if !is_json {
        let text = String::from_utf8_lossy(body).into_owned();
        return Err(Problem::not_an_object(&Json::String(text)).into());
    }
    let body = std::str::from_utf8(body).map_err(|_| Refusal::NotUtf8)?;
    let body = Json::parse(body).map_err(|invalid| Problem::not_json(invalid.message, invalid.position))?;
    if !matches!(body, Json::Object(_)) {
        return Err(Problem::not_an_object(&body).into());
    }
    match body.field("text") {
        None => Err(Problem::no_text(&body).into()),
        Some(Json::String(text)) => Ok(Texts::One(text.clone())),
        Some(list @ Json::Array(items)) if items.len() > max_texts => {
            Err(Problem::too_many_texts(items.len(), max_texts, list).into())
        }
        Some(Json::Array(items)) => strings(items).map(Texts::Many),
        Some(value) => Err(Problem::not_a_string(None, value).into()),
    }
}

fn strings(items: &[Json]) -> Result<Vec<String>, Refusal> {
    let mut problems = Vec::new();
    let mut texts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item {
            Json::String(text) => texts.push(text.clone()),
            other => problems.push(Problem::not_a_string(Some(index), other)),
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(Refusal::Problems(problems)) }
}
