//! `POST /predict` as text-embeddings-inference has it.
//! Source: `router/src/http/types.rs` and `core/src/infer.rs` there. Pairs of texts are refused: a
//! classifier of single texts was trained on none.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;

use super::classify::{Classified, Question, Refusal, classify};
use super::json::{Json, Quoted};
use super::problem::json;
use crate::scores::scores;
use crate::server::Shared;

/// A checked question.
struct Asked {
    texts: Vec<String>,
    is_batch: bool,
    raw_scores: bool,
    truncate: bool,
}

/// Answers with all labels, best first: one list for `inputs: "…"`, a list of lists for `inputs:
/// [["…"], …]`.
pub(super) async fn predict(
    shared: &Shared,
    request_id: &str,
    body: &Json,
    deadline: Instant,
) -> Response {
    let Asked { texts, is_batch, raw_scores, truncate } =
        match check(body, shared.options.max_texts) {
            Ok(asked) => asked,
            Err(message) => {
                return refuse(StatusCode::UNPROCESSABLE_ENTITY, &message, "Validation");
            }
        };
    if texts.iter().any(String::is_empty) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "Input validation error: `inputs` cannot be empty",
            "Empty",
        );
    }
    match classify(shared, request_id, Question { texts, truncate, deadline }).await {
        Ok(classified) => {
            classified.onto(json(StatusCode::OK, write(&classified, is_batch, raw_scores)))
        }
        Err(refusal) => {
            let (message, kind) = match &refusal {
                Refusal::Busy(_) => ("Model is overloaded", "Overloaded"),
                Refusal::Late => ("Request timed out", "Backend"),
                Refusal::NoModel => ("Model is not ready", "Unhealthy"),
                Refusal::Failed => ("Inference failed", "Backend"),
                Refusal::TooLong => (
                    "Input validation error: `inputs` has more tokens than the model takes",
                    "Validation",
                ),
            };
            refusal.onto(refuse(refusal.status(), message, kind))
        }
    }
}

fn refuse(status: StatusCode, message: &str, kind: &str) -> Response {
    json(status, format!("{{\"error\":{},\"error_type\":{}}}", Quoted(message), Quoted(kind)))
}

fn check(body: &Json, max_texts: usize) -> Result<Asked, String> {
    let flag = |name: &str, default: bool| match body.field(name) {
        None | Some(Json::Null) => Ok(default),
        Some(Json::Bool(value)) => Ok(*value),
        Some(other) => {
            Err(format!("Input validation error: `{name}` should be true or false, not {other}"))
        }
    };
    let (raw_scores, truncate) = (flag("raw_scores", false)?, flag("truncate", true)?);
    let (texts, is_batch) =
        match body.field("inputs") {
            Some(Json::String(text)) => (vec![text.clone()], false),
            Some(Json::Array(items)) if matches!(items.first(), Some(Json::Array(_))) => {
                (items.iter().map(sequence).collect::<Result<_, _>>()?, true)
            }
            Some(flat @ Json::Array(_)) => (vec![sequence(flat)?], false),
            _ => return Err(
                "Input validation error: `inputs` should be a text or a list of lists of one text"
                    .to_owned(),
            ),
        };
    if texts.len() > max_texts {
        let n_texts = texts.len();
        return Err(format!("batch size {n_texts} > maximum allowed batch size {max_texts}"));
    }
    Ok(Asked { texts, is_batch, raw_scores, truncate })
}

fn sequence(item: &Json) -> Result<String, String> {
    match item {
        Json::Array(items) => match items.as_slice() {
            [Json::String(text)] => Ok(text.clone()),
            [Json::String(_), Json::String(_)] => {
                Err("Input validation error: this model classifies single texts, not pairs"
                    .to_owned())
            }
            _ => Err("Input validation error: a sequence is a list of one text".to_owned()),
        },
        _ => Err("Input validation error: a batch is a list of lists of one text".to_owned()),
    }
}

fn write(classified: &Classified, is_batch: bool, raw_scores: bool) -> String {
    let labels = classified.model.predictor.labels();
    let one = |logits: &[f32]| {
        let scores = if raw_scores { logits.to_vec() } else { scores(logits) };
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let entry =
            |n: usize| format!("{{\"score\":{:?},\"label\":{}}}", scores[n], Quoted(&labels[n]));
        format!("[{}]", order.into_iter().map(entry).collect::<Vec<_>>().join(","))
    };
    let answers: Vec<String> = classified.rows.iter().map(|row| one(&row.logits)).collect();
    if is_batch { format!("[{}]", answers.join(",")) } else { answers.concat() }
}
