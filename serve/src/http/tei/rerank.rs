//! `POST /rerank`: texts in the order of how well they fit a query, by a model of one label that
//! scores pairs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;

use super::asked::{flag, overlong};
use super::{refuse, refused};
use crate::classify::{Overlong, Question, classify};
use crate::http::body::{self, without_mark};
use crate::http::json::{Json, Quoted};
use crate::http::problem::json;
use crate::http::protocol::deadline;
use crate::http::request_id::RequestId;
use crate::predictor::Text;
use crate::scores::sigmoid;
use crate::shared::Shared;

const KEYS: [&str; 6] =
    ["query", "texts", "truncate", "truncation_direction", "raw_scores", "return_text"];

/// Answers with `[{"index","score"}]`, best first, and each text where that is asked for.
pub(crate) async fn rerank(
    State(shared): State<Arc<Shared>>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request<Body>,
) -> Response {
    let _in_flight = shared.enter();
    answer(&shared, &id, request).await.unwrap_or_else(|refusal| refusal)
}

async fn answer(shared: &Shared, id: &str, request: Request<Body>) -> Result<Response, Response> {
    let invalid = |message: &str| {
        let message = format!("Input validation error: {message}");
        refuse(StatusCode::UNPROCESSABLE_ENTITY, &message, "Validation")
    };
    let deadline = deadline(request.headers(), shared).map_err(invalid)?;
    let (bytes, _share) = body::read(request.into_body(), shared)
        .await
        .map_err(|unread| refuse(unread.status(), unread.message(), "Validation"))?;
    let text =
        std::str::from_utf8(without_mark(&bytes)).map_err(|_| invalid("the body is not UTF-8"))?;
    let body = Json::parse(text).map_err(|found| invalid(found.message))?;
    let Asked { query, texts, overlong, is_raw, returns_text } =
        Asked::check(&body).map_err(|problem| invalid(&problem))?;
    if query.is_empty() || texts.is_empty() {
        let name = if query.is_empty() { "query" } else { "texts" };
        let message = format!("Input validation error: `{name}` cannot be empty");
        return Err(refuse(StatusCode::BAD_REQUEST, &message, "Empty"));
    }
    let (n_texts, most) = (texts.len(), shared.options.max_texts);
    if n_texts > most {
        return Err(invalid(&format!("batch size {n_texts} > maximum allowed batch size {most}")));
    }
    let labels = shared.stable().predictor.labels().len();
    if labels > 1 {
        let status = StatusCode::FAILED_DEPENDENCY;
        return Err(refuse(status, "model is not a re-ranker model", "Backend"));
    }
    let pair = |text: &String| Text { text: query.clone(), pair: Some(text.clone()) };
    let question = Question { texts: texts.iter().map(pair).collect(), overlong, deadline };
    let classified = classify(shared, id, question).await.map_err(refused)?;
    let score = |logits: &[f32]| match is_raw {
        true => logits[0],
        false => sigmoid(logits)[0],
    };
    let mut ranks: Vec<(usize, f32)> =
        classified.rows.iter().map(|row| score(&row.logits)).enumerate().collect();
    ranks.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let one = |(index, score): (usize, f32)| {
        let text = if returns_text {
            format!(",\"text\":{}", Quoted(&texts[index]))
        } else {
            String::new()
        };
        format!("{{\"index\":{index}{text},\"score\":{score:?}}}")
    };
    let ranks: Vec<String> = ranks.into_iter().map(one).collect();
    Ok(classified.onto(json(StatusCode::OK, format!("[{}]", ranks.join(",")))))
}

/// A checked question.
struct Asked {
    query: String,
    texts: Vec<String>,
    overlong: Overlong,
    is_raw: bool,
    returns_text: bool,
}

impl Asked {
    fn check(body: &Json) -> Result<Self, String> {
        if !matches!(body, Json::Object(_)) {
            return Err("the body should be an object".to_owned());
        }
        if let Some(unknown) = body.unknown(&KEYS) {
            return Err(format!("{} is unknown", Quoted(unknown)));
        }
        let Some(Json::String(query)) = body.field("query") else {
            return Err("`query` should be a text".to_owned());
        };
        let Some(Json::Array(items)) = body.field("texts") else {
            return Err("`texts` should be a list of texts".to_owned());
        };
        let text = |item: &Json| match item {
            Json::String(text) => Ok(text.clone()),
            other => Err(format!("`texts` should be a list of texts, and has {other}")),
        };
        Ok(Self {
            query: query.clone(),
            texts: items.iter().map(text).collect::<Result<_, _>>()?,
            overlong: overlong(body)?,
            is_raw: flag(body, "raw_scores")?.unwrap_or(false),
            returns_text: flag(body, "return_text")?.unwrap_or(false),
        })
    }
}
