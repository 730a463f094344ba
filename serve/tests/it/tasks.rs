//! What is answered for each task, and for pairs of texts, on every protocol.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use kit_serve::{
    BoxError, Lifecycle, ModelIdentity, Predictor, Prepared, ServeOptions, Task, server,
};
use serde_json::{Value, json};

use crate::support::ask;

/// The numbers of a text are its logits; those of a pair are added.
struct Numbers {
    labels: Vec<String>,
    task: Task,
    takes_pairs: bool,
    thresholds: Option<Vec<f64>>,
}

impl Predictor for Numbers {
    type Input = Vec<f32>;

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn task(&self) -> Task {
        self.task
    }

    fn thresholds(&self) -> Option<&[f64]> {
        self.thresholds.as_deref()
    }

    fn prepare(&self, text: &str) -> Result<Prepared<Vec<f32>>, BoxError> {
        let mut numbers: Vec<f32> =
            text.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
        numbers.resize(self.labels.len(), 0.0);
        Ok(Prepared { input: numbers, n_tokens: 1, truncated: false })
    }

    fn takes_pairs(&self) -> bool {
        self.takes_pairs
    }

    fn prepare_pair(&self, text: &str, pair: &str) -> Result<Prepared<Vec<f32>>, BoxError> {
        let (mut first, second) = (self.prepare(text)?, self.prepare(pair)?);
        first.input.iter_mut().zip(second.input).for_each(|(a, b)| *a += b);
        Ok(first)
    }

    fn predict(&self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, BoxError> {
        Ok(inputs.to_vec())
    }
}

async fn serving(labels: &[&str], task: Task, takes_pairs: bool) -> Router {
    serving_with(labels, task, takes_pairs, None).await
}

async fn serving_with(
    labels: &[&str],
    task: Task,
    takes_pairs: bool,
    thresholds: Option<Vec<f64>>,
) -> Router {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    let options = ServeOptions { model_name: "m".to_owned(), max_texts: 4, ..Default::default() };
    let predictor = Numbers { labels, task, takes_pairs, thresholds };
    let (router, handle) = server(predictor, ModelIdentity::default(), options);
    assert_eq!(handle.started().await, Lifecycle::Ready);
    router
}

async fn post(router: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let answer = ask(router, request.body(Body::from(body.to_string())).expect("a request")).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

/// Asks and compares: figures within 1e-6.
async fn check(router: &Router, path: &str, body: Value, expected: Value) {
    let (status, answer) = post(router, path, body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{path} {body}: {answer}");
    assert!(is_near(&answer, &expected), "{path} {body}: {answer}");
}

fn is_near(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => {
            let [a, b] = [a, b].map(|n| n.as_f64().expect("a number"));
            (a - b).abs() < 1e-6
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_near(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(key, b)| a.get(key).is_some_and(|a| is_near(a, b)))
        }
        _ => found == expected,
    }
}

/// The sigmoids of 2, -1 and 0.
const SIGMOIDS: [f64; 3] = [0.880_797_1, 0.268_941_4, 0.5];

#[tokio::test]
async fn several_labels_at_once_are_scored_each_for_itself() {
    let router = serving(&["a", "b", "c"], Task::MultiLabel, true).await;
    let [a, b, c] = SIGMOIDS;
    check(&router, "/predict", json!({"text": "2 -1"}), json!([{"label": "a", "score": a}])).await;
    let all =
        json!([{"label": "a", "score": a}, {"label": "c", "score": c}, {"label": "b", "score": b}]);
    check(&router, "/predict", json!({"inputs": "2 -1"}), all).await;
    let body = json!({"instances": ["2 -1"], "return_probabilities": true});
    let expected = json!({"label": "a", "score": a, "probabilities": {"a": a, "b": b, "c": c}});
    check(&router, "/v1/models/m:predict", body, json!({"predictions": [expected]})).await;
    let (_, answer) =
        post(&router, "/v2/models/m/infer", infer(&[("text", &["2 -1"])], "scores")).await;
    assert!(is_near(&answer["outputs"][0]["data"], &json!(SIGMOIDS)), "{answer}");
}

/// Those of the model: a text is given whatever reaches them, and maybe nothing.
#[tokio::test]
async fn labels_that_reach_their_thresholds_are_given() {
    let thresholds = Some(vec![0.9, 0.25, 0.5]);
    let router = serving_with(&["a", "b", "c"], Task::MultiLabel, true, thresholds).await;
    let [a, b, c] = SIGMOIDS;
    let given = json!([{"label": "c", "score": c}, {"label": "b", "score": b}]);
    check(&router, "/predict", json!({"text": "2 -1"}), given.clone()).await;
    let none = json!({"text": ["2 -1", "-9 -9 -9"]});
    check(&router, "/predict", none, json!([given, []])).await;
    let all =
        json!([{"label": "a", "score": a}, {"label": "c", "score": c}, {"label": "b", "score": b}]);
    check(&router, "/predict", json!({"inputs": "2 -1"}), all).await;
    let expected = json!({"label": "a", "score": a, "labels": given});
    let body = json!({"instances": ["2 -1"]});
    check(&router, "/v1/models/m:predict", body, json!({"predictions": [expected]})).await;
    let answer = ask(&router, Request::get("/info").body(Body::empty()).expect("a request")).await;
    let info: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(info["label_thresholds"], json!({"a": 0.9, "b": 0.25, "c": 0.5}));
}

#[tokio::test]
async fn a_regression_answers_its_figure() {
    let router = serving(&["LABEL_0"], Task::Regression, true).await;
    let figure = json!([{"label": "LABEL_0", "score": -3.25}]);
    check(&router, "/predict", json!({"text": "-3.25"}), figure.clone()).await;
    check(&router, "/predict", json!({"inputs": "-3.25"}), figure).await;
    let (_, answer) =
        post(&router, "/v2/models/m/infer", infer(&[("text", &["-3.25"])], "score")).await;
    assert!(is_near(&answer["outputs"][0]["data"], &json!([-3.25])), "{answer}");
}

#[tokio::test]
async fn one_label_is_a_sigmoid_and_its_server_says_that_it_ranks() {
    let router = serving(&["LABEL_0"], Task::SingleLabel, true).await;
    let expected = json!([{"label": "LABEL_0", "score": SIGMOIDS[0]}]);
    check(&router, "/predict", json!({"text": "2"}), expected).await;
    let answer = ask(&router, Request::get("/info").body(Body::empty()).expect("a request")).await;
    let info: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(info["model_type"]["reranker"]["id2label"], json!({"0": "LABEL_0"}));
}

fn infer(inputs: &[(&str, &[&str])], output: &str) -> Value {
    let tensor = |(name, data): &(&str, &[&str])| json!({"name": name, "datatype": "BYTES", "shape": [data.len()], "data": data});
    let inputs: Vec<Value> = inputs.iter().map(tensor).collect();
    json!({"inputs": inputs, "outputs": [{"name": output}]})
}

#[tokio::test]
async fn pairs_are_taken_on_every_protocol() {
    let router = serving(&["a", "b"], Task::MultiLabel, true).await;
    let best = json!([{"label": "a", "score": SIGMOIDS[0]}]);
    check(&router, "/predict", json!({"text": "3", "text_pair": "-1"}), best).await;
    let all = json!([{"label": "a", "score": SIGMOIDS[0]}, {"label": "b", "score": 0.5}]);
    check(&router, "/predict", json!({"inputs": ["3", "-1"]}), all.clone()).await;
    check(&router, "/predict", json!({"inputs": [["3", "-1"], ["2"]]}), json!([all, all])).await;
    let one = json!({"label": "a", "score": SIGMOIDS[0]});
    let body =
        json!({"instances": [{"text": "3", "text_pair": "-1"}, {"text": "2", "text_pair": null}]});
    check(&router, "/v1/models/m:predict", body, json!({"predictions": [one, one]})).await;
    let body = infer(&[("text", &["3", "1"]), ("text_pair", &["-1", "1"])], "logits");
    let (_, answer) = post(&router, "/v2/models/m/infer", body).await;
    assert!(is_near(&answer["outputs"][0]["data"], &json!([2.0, 0.0, 2.0, 0.0])), "{answer}");
}

#[tokio::test]
async fn pairs_that_are_none_are_refused() {
    let router = serving(&["a", "b"], Task::SingleLabel, true).await;
    for (path, body) in [
        ("/predict", json!({"text": ["3"], "text_pair": "-1"})),
        ("/predict", json!({"text": "3", "text_pair": ["-1"]})),
        ("/predict", json!({"text_pair": "-1"})),
        ("/predict", json!({"inputs": [["3", "-1", "5"]]})),
        ("/v1/models/m:predict", json!({"instances": [{"text": "3", "text_pair": 5}]})),
        ("/v2/models/m/infer", infer(&[("text", &["3"]), ("other", &["-1"])], "logits")),
        ("/v2/models/m/infer", infer(&[("text", &["3"]), ("text_pair", &["-1", "1"])], "logits")),
        (
            "/v2/models/m/infer",
            infer(&[("a", &["3"]), ("text_pair", &["-1"]), ("b", &["1"])], "logits"),
        ),
    ] {
        let (status, answer) = post(&router, path, body.clone()).await;
        assert!(status.is_client_error(), "{path} {body}: {status} {answer}");
    }
    let single = serving(&["a", "b"], Task::SingleLabel, false).await;
    for (path, body) in [
        ("/predict", json!({"text": "3", "text_pair": "-1"})),
        ("/predict", json!({"inputs": [["3", "-1"]]})),
        ("/v1/models/m:predict", json!({"instances": [{"text": "3", "text_pair": "-1"}]})),
    ] {
        let (status, answer) = post(&single, path, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.to_string().contains("classifies single texts, not pairs"), "{answer}");
    }
}

#[tokio::test]
async fn texts_are_ranked_by_a_model_of_one_label() {
    let router = serving(&["LABEL_0"], Task::SingleLabel, true).await;
    let texts = json!(["-3", "0", "2"]);
    let body = json!({"query": "0", "texts": texts, "raw_scores": true});
    let expected = json!([{"index": 2, "score": 2.0}, {"index": 1, "score": 0.0}, {"index": 0, "score": -3.0}]);
    check(&router, "/rerank", body, expected).await;
    let body = json!({"query": "0", "texts": ["0", "2"], "return_text": true, "truncate": true});
    let expected = json!([{"index": 1, "text": "2", "score": SIGMOIDS[0]}, {"index": 0, "text": "0", "score": 0.5}]);
    check(&router, "/rerank", body, expected).await;
    for (body, status, message) in [
        (json!({"query": "", "texts": ["0"]}), StatusCode::BAD_REQUEST, "`query` cannot be empty"),
        (json!({"query": "0", "texts": []}), StatusCode::BAD_REQUEST, "`texts` cannot be empty"),
        (
            json!({"query": "0", "texts": vec!["0"; 5]}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "batch size 5",
        ),
        (json!({"query": "0", "texts": [0]}), StatusCode::UNPROCESSABLE_ENTITY, "list of texts"),
        (
            json!({"query": "0", "texts": ["0"], "top_n": 1}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "top_n",
        ),
        (json!([]), StatusCode::UNPROCESSABLE_ENTITY, "should be an object"),
    ] {
        let (found, answer) = post(&router, "/rerank", body).await;
        assert_eq!(found, status, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(message)), "{answer}");
    }
    let several = serving(&["a", "b"], Task::SingleLabel, true).await;
    let (status, answer) = post(&several, "/rerank", json!({"query": "0", "texts": ["0"]})).await;
    assert_eq!(status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(answer["error"], "model is not a re-ranker model");
}
