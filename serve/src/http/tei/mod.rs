//! `POST /predict`, `POST /rerank`, `GET /health` and `GET /info` as text-embeddings-inference has them, and the
//! parameters of the hub's inference API.
//! Source: `router/src/http/types.rs`, `router/src/lib.rs` and `core/src/infer.rs` there; "Text
//! Classification" of the hub's API.

mod asked;
mod info;
mod rerank;

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;

pub(super) use self::asked::OPTIONS;
use self::asked::{Asked, Figures};
pub(crate) use self::info::{health, info};
pub(crate) use self::rerank::rerank;
use super::json::{Json, Quoted};
use super::problem::json;
use crate::classify::{Classified, Question, Refusal, classify};
use crate::predictor::Text;
use crate::scores::{sigmoid, softmax};
use crate::shared::Shared;

/// Answers with all labels, best first: one list for `inputs: "…"`, a list of lists for `inputs:
/// [["…"], …]`.
pub(super) async fn predict(
    shared: &Shared,
    request_id: &str,
    body: &Json,
    deadline: Instant,
) -> Response {
    let mut asked = match Asked::check(body, shared.options.max_texts) {
        Ok(asked) => asked,
        Err(message) => {
            let message = format!("Input validation error: {message}");
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, &message, "Validation");
        }
    };
    let texts = std::mem::take(&mut asked.texts);
    if texts.iter().any(Text::has_empty) {
        let message = "Input validation error: `inputs` cannot be empty";
        return refuse(StatusCode::BAD_REQUEST, message, "Empty");
    }
    let question = Question { texts, overlong: asked.overlong, deadline };
    match classify(shared, request_id, question).await {
        Ok(classified) => classified.onto(json(StatusCode::OK, write(&classified, &asked))),
        Err(refusal) => refused(refusal),
    }
}

/// What came of texts that were not classified, in its words.
fn refused(refusal: Refusal) -> Response {
    let (message, kind) = match refusal {
        Refusal::Busy(_) => ("Model is overloaded", "Overloaded"),
        Refusal::Late => ("Request timed out", "Backend"),
        Refusal::NoModel => ("Model is not ready", "Unhealthy"),
        Refusal::Failed => ("Inference failed", "Backend"),
        Refusal::TooLong => {
            ("Input validation error: `inputs` has more tokens than the model takes", "Validation")
        }
        Refusal::OtherSide => (
            "Input validation error: `truncation_direction` is not the side at which this model cuts",
            "Validation",
        ),
        Refusal::NoPairs => {
            ("Input validation error: this model classifies single texts, not pairs", "Validation")
        }
    };
    refusal.onto(refuse(refusal.status(), message, kind))
}

fn refuse(status: StatusCode, message: &str, kind: &str) -> Response {
    json(status, format!("{{\"error\":{},\"error_type\":{}}}", Quoted(message), Quoted(kind)))
}

fn write(classified: &Classified, asked: &Asked) -> String {
    let labels = classified.model.predictor.labels();
    let one = |logits: &[f32]| {
        let scores = match asked.figures {
            Figures::OfTheModel => classified.model.scores(logits),
            Figures::Softmax => softmax(logits),
            Figures::Sigmoid => sigmoid(logits),
            Figures::Logits => logits.to_vec(),
        };
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order.truncate(asked.n_best.unwrap_or(usize::MAX));
        let entry =
            |n: usize| format!("{{\"score\":{:?},\"label\":{}}}", scores[n], Quoted(&labels[n]));
        format!("[{}]", order.into_iter().map(entry).collect::<Vec<_>>().join(","))
    };
    let answers: Vec<String> = classified.rows.iter().map(|row| one(&row.logits)).collect();
    asked.form.join(&answers)
}
