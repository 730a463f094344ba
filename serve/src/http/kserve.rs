//! KServe's inference protocols over REST: the Open Inference Protocol (v2), and the first one
//! (v1). Source: the Open Inference Protocol's `specification/protocol/inference_rest.md`, and
//! KServe's "Data Plane (V1)". Deliberately absent: tensors as binary data behind the JSON, an
//! extension that is not announced.
#![expect(clippy::result_large_err, reason = "what is wrong is itself an answer")]

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;

use super::body::{self, without_mark};
use super::json::{Json, Quoted, float};
use super::problem::json;
use super::protocol::deadline;
use super::request_id::RequestId;
use super::tensors::{self, Infer};
use crate::classify::{Classified, Overlong, Question, classify};
use crate::lifecycle::Lifecycle;
use crate::predictor::Text;
use crate::queue::Computed;
use crate::shared::Shared;

type Answer = Result<Response, Response>;

fn error(status: StatusCode, message: &str) -> Response {
    json(status, format!("{{\"error\":{}}}", Quoted(message)))
}

fn is_ready(shared: &Shared) -> bool {
    *shared.lifecycle.borrow() == Lifecycle::Ready
}

fn by_readiness(shared: &Shared, body: String) -> Response {
    json(if is_ready(shared) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

/// `GET /v2`
pub(crate) async fn server() -> Response {
    let version = Quoted(env!("CARGO_PKG_VERSION"));
    json(StatusCode::OK, format!("{{\"name\":\"kit-rs\",\"version\":{version},\"extensions\":[]}}"))
}

/// `GET /v2/health/live`
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, "{\"live\":true}".to_owned())
}

/// `GET /v2/health/ready`
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    by_readiness(&shared, format!("{{\"ready\":{}}}", is_ready(&shared)))
}

/// `GET /v2/models/{name}/ready` and `GET /v2/models/{name}/versions/{version}/ready`
pub(crate) async fn model_ready(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<Vec<(String, String)>>,
) -> Response {
    match known(&shared, &path) {
        Ok(()) => {
            let name = Quoted(&shared.options.model_name);
            by_readiness(&shared, format!("{{\"name\":{name},\"ready\":{}}}", is_ready(&shared)))
        }
        Err(answer) => answer,
    }
}

/// `GET /v2/models/{name}` and `GET /v2/models/{name}/versions/{version}`
pub(crate) async fn model(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<Vec<(String, String)>>,
) -> Response {
    if let Err(answer) = known(&shared, &path) {
        return answer;
    }
    let model = shared.stable();
    let (name, version) = (Quoted(&shared.options.model_name), Quoted(model.version_name()));
    let outputs = tensors::outputs(model.predictor.labels().len());
    let body = format!(
        "{{\"name\":{name},\"versions\":[{version}],\"platform\":\"kit-rs\",\
         \"inputs\":[{{\"name\":\"text\",\"datatype\":\"BYTES\",\"shape\":[-1]}}],\"outputs\":[{outputs}]}}"
    );
    json(StatusCode::OK, body)
}

/// `POST /v2/models/{name}/infer` and `POST /v2/models/{name}/versions/{version}/infer`
pub(crate) async fn infer(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<Vec<(String, String)>>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request<Body>,
) -> Response {
    let _in_flight = shared.enter();
    let answer = async {
        known(&shared, &path)?;
        let deadline = deadline(request.headers(), &shared)
            .map_err(|problem| error(StatusCode::BAD_REQUEST, problem))?;
        let body = read(&shared, request).await?;
        let mut infer = Infer::check(&body, shared.options.max_texts)
            .map_err(|message| error(StatusCode::BAD_REQUEST, &message))?;
        let classified = ask(&shared, &id, std::mem::take(&mut infer.texts), deadline).await?;
        let (name, version) =
            (Quoted(&shared.options.model_name), Quoted(classified.model.version_name()));
        let (id, outputs) = (Quoted(infer.id.as_deref().unwrap_or(&id)), infer.write(&classified));
        let body = format!(
            "{{\"model_name\":{name},\"model_version\":{version},\"id\":{id},\"outputs\":[{outputs}]}}"
        );
        Answer::Ok(classified.onto(json(StatusCode::OK, body)))
    };
    answer.await.unwrap_or_else(|refusal| refusal)
}

/// `GET /v1/models`
pub(crate) async fn models_v1(State(shared): State<Arc<Shared>>) -> Response {
    json(StatusCode::OK, format!("{{\"models\":[{}]}}", Quoted(&shared.options.model_name)))
}

/// `GET /v1/models/{name}`
pub(crate) async fn model_v1(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Response {
    if name.ends_with(":predict") {
        return wrong_method_v1(Path(name)).await;
    }
    match known(&shared, &[("name".to_owned(), name)]) {
        Ok(()) => {
            let name = Quoted(&shared.options.model_name);
            json(StatusCode::OK, format!("{{\"name\":{name},\"ready\":{}}}", is_ready(&shared)))
        }
        Err(answer) => answer,
    }
}

/// `POST /v1/models/{name}:predict`
pub(crate) async fn predict_v1(
    State(shared): State<Arc<Shared>>,
    Path(target): Path<String>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request<Body>,
) -> Response {
    let Some(name) = target.strip_suffix(":predict") else {
        return wrong_method_v1(Path(target)).await;
    };
    let _in_flight = shared.enter();
    let answer = async {
        known(&shared, &[("name".to_owned(), name.to_owned())])?;
        let deadline = deadline(request.headers(), &shared)
            .map_err(|problem| error(StatusCode::BAD_REQUEST, problem))?;
        let body = read(&shared, request).await?;
        let bad = |message: String| error(StatusCode::BAD_REQUEST, &message);
        let texts = instances(&body, shared.options.max_texts).map_err(bad)?;
        let with_all = returns_probabilities(&body).map_err(bad)?;
        let classified = ask(&shared, &id, texts, deadline).await?;
        let labels = classified.model.predictor.labels();
        let one = |((label, best), row): ((&str, crate::scores::Top), &Computed)| {
            let all = if with_all {
                probabilities(labels, &classified.model.scores(&row.logits))
            } else {
                String::new()
            };
            let given = classified.model.given(&row.logits);
            let given = given.map_or(String::new(), |given| {
                format!(",\"labels\":{}", super::predict::scored(labels, &given))
            });
            let (label, score) = (Quoted(label), float(f64::from(best.score)));
            format!("{{\"label\":{label},\"score\":{score}{given}{all}}}")
        };
        let predictions: Vec<String> = classified.best().zip(&classified.rows).map(one).collect();
        let predictions = predictions.join(",");
        Answer::Ok(
            classified.onto(json(StatusCode::OK, format!("{{\"predictions\":[{predictions}]}}"))),
        )
    };
    answer.await.unwrap_or_else(|refusal| refusal)
}

/// Whether the scores of all labels are asked for: by `return_probabilities`, which KServe's own
/// runtime takes as an argument, in the body or among its parameters.
fn returns_probabilities(body: &Json) -> Result<bool, String> {
    const NAME: &str = "return_probabilities";
    if let Some(unknown) = body.unknown(&["instances", "parameters", NAME]) {
        return Err(format!("{unknown:?} is unknown"));
    }
    let parameters = body.field("parameters").filter(|parameters| **parameters != Json::Null);
    if let Some(parameters) = parameters {
        match parameters {
            Json::Object(_) => (),
            _ => return Err("\"parameters\" is not an object".to_owned()),
        }
        if let Some(unknown) = parameters.unknown(&[NAME]) {
            return Err(format!("the parameter {unknown:?} is unknown"));
        }
    }
    let asked = |of: Option<&Json>| match of.and_then(|of| of.field(NAME)) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(asked)) => Ok(Some(*asked)),
        Some(_) => Err(format!("{NAME:?} is neither true nor false")),
    };
    match (asked(Some(body))?, asked(parameters)?) {
        (Some(own), Some(other)) if own != other => Err(format!("{NAME:?} is both true and false")),
        (own, other) => Ok(own.or(other).unwrap_or(false)),
    }
}

/// The score of each label, by its name.
fn probabilities(labels: &[String], scores: &[f32]) -> String {
    let one =
        |(label, score): (&String, &f32)| format!("{}:{}", Quoted(label), float(f64::from(*score)));
    let all: Vec<String> = labels.iter().zip(scores).map(one).collect();
    format!(",\"probabilities\":{{{}}}", all.join(","))
}

/// A model is only asked about, and its verb only done.
pub(crate) async fn wrong_method_v1(Path(target): Path<String>) -> Response {
    super::not_allowed(if target.ends_with(":predict") { "POST" } else { "GET" }).await
}

/// `{"instances": [..]}`: each a text, or an object with one under `text`, and one under
/// `text_pair` where it is a pair.
fn instances(body: &Json, max_texts: usize) -> Result<Vec<Text>, String> {
    let Some(Json::Array(instances)) = body.field("instances") else {
        return Err("Expected \"instances\" to be a list".to_owned());
    };
    if instances.len() > max_texts {
        return Err(format!(
            "{} instances are more than the {max_texts} that one request may have",
            instances.len()
        ));
    }
    let text = |(n, instance): (usize, &Json)| match instance {
        Json::String(text) => Ok(text.clone().into()),
        object => match object.field("text") {
            Some(Json::String(text)) => match object.unknown(&["text", "text_pair"]) {
                Some(unknown) => Err(format!("instance {n} has {unknown:?}, which is unknown")),
                None => match object.field("text_pair") {
                    None | Some(Json::Null) => Ok(text.clone().into()),
                    Some(Json::String(pair)) => {
                        Ok(Text { text: text.clone(), pair: Some(pair.clone()) })
                    }
                    Some(_) => Err(format!("instance {n} has a \"text_pair\" that is no text")),
                },
            },
            _ => Err(format!("instance {n} is neither a text nor an object with a \"text\"")),
        },
    };
    instances.iter().enumerate().map(text).collect()
}

/// Whether the path names the model that is served, and its version where it names one.
fn known(shared: &Shared, path: &[(String, String)]) -> Result<(), Response> {
    let stable = shared.stable();
    for (parameter, value) in path {
        let ours = match parameter.as_str() {
            "version" => stable.version_name(),
            _ => shared.options.model_name.as_str(),
        };
        if value != ours {
            return Err(error(
                StatusCode::NOT_FOUND,
                &format!("unknown {parameter} {value:?}, this is {ours:?}"),
            ));
        }
    }
    Ok(())
}

async fn read(shared: &Shared, request: Request<Body>) -> Result<Json, Response> {
    let bad = |message: &str| error(StatusCode::BAD_REQUEST, message);
    if request.headers().contains_key("inference-header-content-length") {
        return Err(bad("tensors as binary data are not supported"));
    }
    let (bytes, _share) = body::read(request.into_body(), shared)
        .await
        .map_err(|unread| error(unread.status(), unread.message()))?;
    let text =
        std::str::from_utf8(without_mark(&bytes)).map_err(|_| bad("the body is not UTF-8"))?;
    let json = Json::parse(text)
        .map_err(|invalid| bad(&format!("{} at {}", invalid.message, invalid.position)))?;
    if matches!(json, Json::Object(_)) { Ok(json) } else { Err(bad("the body is not an object")) }
}

async fn ask(
    shared: &Shared,
    id: &str,
    texts: Vec<Text>,
    deadline: Instant,
) -> Result<Classified, Response> {
    let question = Question { texts, overlong: Overlong::Cut, deadline };
    classify(shared, id, question)
        .await
        .map_err(|refusal| refusal.onto(error(refusal.status(), refusal.message())))
}
