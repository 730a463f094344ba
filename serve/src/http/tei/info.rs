//! `GET /health` and `GET /info`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::refuse;
use crate::http::json::Quoted;
use crate::http::problem::json;
use crate::lifecycle::Lifecycle;
use crate::predictor::Task;
use crate::shared::Shared;

/// Whether texts are answered: an empty answer, or an error.
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    match &*shared.lifecycle.borrow() {
        Lifecycle::Ready => StatusCode::OK.into_response(),
        _ => refuse(StatusCode::SERVICE_UNAVAILABLE, "unhealthy", "unhealthy"),
    }
}

/// The model and the limits, in its words; and the task, which it does not tell.
pub(crate) async fn info(State(shared): State<Arc<Shared>>) -> Response {
    let (options, model) = (&shared.options, shared.stable());
    let labels = model.predictor.labels();
    let numbered = || labels.iter().enumerate();
    let of_numbers: Vec<String> =
        numbered().map(|(n, label)| format!("\"{n}\":{}", Quoted(label))).collect();
    let of_names: Vec<String> =
        numbered().map(|(n, label)| format!("{}:{n}", Quoted(label))).collect();
    let kind = if labels.len() == 1 { "reranker" } else { "classifier" };
    let task = match model.predictor.task() {
        Task::SingleLabel => "single_label_classification",
        Task::MultiLabel => "multi_label_classification",
        Task::Regression => "regression",
    };
    let id = Quoted(model.identity.reference.as_ref().unwrap_or(&options.model_name));
    let digest = model.identity.digest.as_ref();
    let digest = digest.map_or("null".to_owned(), |digest| Quoted(digest).to_string());
    let longest =
        model.predictor.max_tokens().map_or("null".to_owned(), |longest| longest.to_string());
    let thresholds = model.predictor.thresholds().map_or(String::new(), |thresholds| {
        let one = |(label, threshold): (&String, &f64)| format!("{}:{threshold}", Quoted(label));
        let all: Vec<String> = labels.iter().zip(thresholds).map(one).collect();
        format!(",\"label_thresholds\":{{{}}}", all.join(","))
    });
    let body = format!(
        "{{\"model_id\":{id},\"model_sha\":{digest},\"model_dtype\":\"float32\",\
         \"model_type\":{{\"{kind}\":{{\"id2label\":{{{}}},\"label2id\":{{{}}}}}}},\
         \"max_concurrent_requests\":{},\"max_input_length\":{longest},\"max_batch_tokens\":{},\
         \"max_batch_requests\":null,\"max_client_batch_size\":{},\"auto_truncate\":true,\"task\":\"{task}\"{thresholds},\
         \"tokenization_workers\":{},\"version\":{},\"sha\":null,\"docker_label\":null}}",
        of_numbers.join(","),
        of_names.join(","),
        options.max_connections,
        options.max_batch_tokens,
        options.max_texts,
        options.max_preparing,
        Quoted(env!("CARGO_PKG_VERSION")),
    );
    json(StatusCode::OK, body)
}
