//! `POST /predict` as text-embeddings-inference has it.
//! Source: `router/src/http/types.rs` and `core/src/infer.rs` there. Pairs of texts are refused: a
//! classifier of single texts was trained on none.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;

use super::json::{Json, Quoted};
use super::problem::json;
use super::protocol::Form;
use crate::classify::{Classified, Overlong, Question, Refusal, classify};
use crate::scores::scores;
use crate::shared::Shared;

/// A checked question.
struct Asked {
    texts: Vec<String>,
    form: Form,
    figures: Figures,
    overlong: Overlong,
}

/// What stands as `score`.
#[derive(Clone, Copy)]
enum Figures {
    Scores,
    Logits,
}

/// Answers with all labels, best first: one list for `inputs: "…"`, a list of lists for `inputs:
/// [["…"], …]`.
pub(super) async fn predict(
    shared: &Shared,
    request_id: &str,
    body: &Json,
    deadline: Instant,
) -> Response {
    let Asked { texts, form, figures, overlong } = match check(body, shared.options.max_texts) {
        Ok(asked) => asked,
        Err(message) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &message, "Validation"),
    };
    if texts.iter().any(String::is_empty) {
        let message = "Input validation error: `inputs` cannot be empty";
        return refuse(StatusCode::BAD_REQUEST, message, "Empty");
    }
    match classify(shared, request_id, Question { texts, overlong, deadline }).await {
        Ok(classified) => classified.onto(json(StatusCode::OK, write(&classified, form, figures))),
        Err(refusal) => {
            let (message, kind) = match refusal {
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
    let figures = if flag("raw_scores", false)? { Figures::Logits } else { Figures::Scores };
    let overlong = if flag("truncate", true)? { Overlong::Cut } else { Overlong::Refuse };
    check_what_is_not_done(body)?;
    let (texts, form) =
        match body.field("inputs") {
            Some(Json::String(text)) => (vec![text.clone()], Form::One),
            Some(Json::Array(items)) if matches!(items.first(), Some(Json::Array(_))) => {
                (items.iter().map(sequence).collect::<Result<_, _>>()?, Form::List)
            }
            Some(flat @ Json::Array(_)) => (vec![sequence(flat)?], Form::One),
            _ => return Err(
                "Input validation error: `inputs` should be a text or a list of lists of one text"
                    .to_owned(),
            ),
        };
    if texts.len() > max_texts {
        let n_texts = texts.len();
        return Err(format!("batch size {n_texts} > maximum allowed batch size {max_texts}"));
    }
    Ok(Asked { texts, form, figures, overlong })
}

/// Refuses options that would change the answer: of a text that is too long the end is cut, and
/// there are none of the hub's inference API.
fn check_what_is_not_done(body: &Json) -> Result<(), String> {
    match body.field("truncation_direction") {
        None | Some(Json::Null) => {}
        Some(Json::String(direction)) if matches!(direction.as_str(), "Right" | "right") => {}
        Some(other) => {
            return Err(format!(
                "Input validation error: `truncation_direction` should be \"Right\", not {other}"
            ));
        }
    }
    let Some(parameters) = body.field("parameters") else { return Ok(()) };
    match parameters {
        Json::Null => Ok(()),
        Json::Object(entries) => match entries.iter().find(|(_, value)| *value != Json::Null) {
            Some((name, _)) => Err(format!(
                "Input validation error: `parameters` has {}, which is not done",
                Quoted(name)
            )),
            None => Ok(()),
        },
        other => {
            Err(format!("Input validation error: `parameters` should be an object, not {other}"))
        }
    }
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

fn write(classified: &Classified, form: Form, figures: Figures) -> String {
    let labels = classified.model.predictor.labels();
    let one = |logits: &[f32]| {
        let scores = match figures {
            Figures::Scores => scores(logits),
            Figures::Logits => logits.to_vec(),
        };
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let entry =
            |n: usize| format!("{{\"score\":{:?},\"label\":{}}}", scores[n], Quoted(&labels[n]));
        format!("[{}]", order.into_iter().map(entry).collect::<Vec<_>>().join(","))
    };
    let answers: Vec<String> = classified.rows.iter().map(|row| one(&row.logits)).collect();
    form.join(&answers)
}
