//! `POST /predict`: the tutorial's question, `{"text": …}`, and that of text-embeddings-inference,
//! `{"inputs": …}`.
#![expect(clippy::result_large_err, reason = "what is wrong is itself an answer")]

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};

use super::body::{self, Unread, is_json, without_mark};
use super::json::{Json, Quoted, float};
use super::problem::{Problem, detail, json, unprocessable};
use super::protocol::{Form, deadline};
use super::request_id::RequestId;
use super::tei;
use crate::classify::{Classified, Overlong, Question, Refusal, classify};
use crate::predictor::Text;
use crate::queue::Computed;
use crate::scores::Top;
use crate::shared::Shared;

/// Answers one text with `[{"label","score"}]`, and a list of texts with a list of such answers; of a
/// model that has thresholds with those labels that reach theirs.
pub(crate) async fn predict(
    State(shared): State<Arc<Shared>>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request<Body>,
) -> Response {
    let _in_flight = shared.enter();
    let deadline = match deadline(request.headers(), &shared) {
        Ok(deadline) => deadline,
        Err(problem) => return detail(StatusCode::BAD_REQUEST, problem),
    };
    let (parts, body) = request.into_parts();
    let (body, _share) = match body::read(body, &shared).await {
        Ok(read) => read,
        Err(unread) => return detail(unread.status(), unread.message()),
    };
    let parsed = match parse(&body, is_json(&parts.headers)) {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal,
    };
    drop(body);
    if parsed.field("text").is_none() && parsed.field("inputs").is_some() {
        return tei::predict(&shared, &id, &parsed, deadline).await;
    }
    let foreign = foreign(&parsed);
    if !foreign.is_empty() {
        return unprocessable(&foreign);
    }
    let (texts, form) = match texts(&parsed, shared.options.max_texts) {
        Ok(texts) => texts,
        Err(problems) => return unprocessable(&problems),
    };
    drop(parsed);
    match classify(&shared, &id, Question { texts, overlong: Overlong::Cut, deadline }).await {
        Ok(classified) => classified.onto(json(StatusCode::OK, write(&classified, form))),
        Err(refusal) => refuse(refusal),
    }
}

/// As Starlette answers when the app fails, and in its form otherwise.
fn refuse(refusal: Refusal) -> Response {
    let answer = match refusal {
        Refusal::Failed => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
        _ => detail(refusal.status(), refusal.message()),
    };
    refusal.onto(answer)
}

/// From bytes to a JSON object, or to the answer that FastAPI would give.
fn parse(body: &[u8], is_json: bool) -> Result<Json, Response> {
    let body = if is_json { without_mark(body) } else { body };
    if body.is_empty() {
        return Err(unprocessable(&[Problem::no_body()]));
    }
    if !is_json {
        let text = String::from_utf8_lossy(body).into_owned();
        return Err(unprocessable(&[Problem::not_an_object(&Json::String(text))]));
    }
    let Ok(body) = std::str::from_utf8(body) else {
        return Err(detail(Unread::Broken.status(), Unread::Broken.message()));
    };
    let json = Json::parse(body).map_err(|invalid| {
        unprocessable(&[Problem::not_json(invalid.message, invalid.position)])
    })?;
    match json {
        Json::Object(_) => Ok(json),
        other => Err(unprocessable(&[Problem::not_an_object(&other)])),
    }
}

/// Options of the other form, which would change its answer: this one has none. Keys that mean
/// nothing anywhere are passed over, as the tutorial's app does.
fn foreign(body: &Json) -> Vec<Problem> {
    if body.field("text").is_none() {
        return Vec::new();
    }
    let names = tei::OPTIONS.into_iter().chain(["inputs", "top_k", "function_to_apply"]);
    names.filter_map(|name| Some(Problem::not_permitted(name, body.field(name)?))).collect()
}

/// Checks an object as the tutorial's `text: str` does; our extensions are that a list of texts is
/// taken too, and a second text under `text_pair`, as `transformers`' pipeline calls it.
fn texts(body: &Json, max_texts: usize) -> Result<(Vec<Text>, Form), Vec<Problem>> {
    if let Some(pair) = body.field("text_pair") {
        return match (body.field("text"), pair) {
            (Some(Json::String(text)), Json::String(pair)) => {
                Ok((vec![Text { text: text.clone(), pair: Some(pair.clone()) }], Form::One))
            }
            (Some(Json::String(_)), other) => Err(vec![Problem::no_pair(other)]),
            (Some(other), _) => Err(vec![Problem::not_a_string(None, other)]),
            (None, _) => Err(vec![Problem::no_text(body)]),
        };
    }
    match body.field("text") {
        None => Err(vec![Problem::no_text(body)]),
        Some(Json::String(text)) => Ok((vec![text.clone().into()], Form::One)),
        Some(list @ Json::Array(items)) if items.len() > max_texts => {
            Err(vec![Problem::too_many_texts(items.len(), max_texts, list)])
        }
        Some(Json::Array(items)) => strings(items).map(|texts| (texts, Form::List)),
        Some(value) => Err(vec![Problem::not_a_string(None, value)]),
    }
}

fn strings(items: &[Json]) -> Result<Vec<Text>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut texts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item {
            Json::String(text) => texts.push(text.clone().into()),
            other => problems.push(Problem::not_a_string(Some(index), other)),
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(problems) }
}

/// The best label; of a model that has thresholds those that reach theirs.
fn write(classified: &Classified, form: Form) -> String {
    let model = &classified.model;
    let one = |row: &Computed| {
        let given = model.given(&row.logits).unwrap_or_else(|| vec![model.top(&row.logits)]);
        scored(model.predictor.labels(), &given)
    };
    let answers: Vec<String> = classified.rows.iter().map(one).collect();
    form.join(&answers)
}

/// `[{"label","score"}, …]`
pub(super) fn scored(labels: &[String], given: &[Top]) -> String {
    let one = |top: &Top| {
        let (label, score) = (Quoted(&labels[top.index]), float(f64::from(top.score)));
        format!("{{\"label\":{label},\"score\":{score}}}")
    };
    format!("[{}]", given.iter().map(one).collect::<Vec<_>>().join(","))
}
