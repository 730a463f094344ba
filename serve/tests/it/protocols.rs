//! The other protocols on the same core: text-embeddings-inference's, KServe's two, and the pages.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use kit_serve::{BoxError, Lifecycle, ModelIdentity, Predictor, Prepared, ServeOptions};
use serde_json::{Value, json};

use crate::support::{Answer, FirstNumber, ask, get, predict, ready};

async fn post(router: &Router, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    let Answer { status, body, .. } = ask(router, request.unwrap()).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn server() -> Router {
    ready(ServeOptions { model_name: "sentiment".to_owned(), max_texts: 4, ..Default::default() })
        .await
        .1
}

#[tokio::test]
async fn tei_answers_all_labels_best_first() {
    let router = server().await;
    let answer = predict(&router, r#"{"inputs":"2"}"#).await;
    assert_eq!(
        answer.body,
        r#"[{"score":0.880797,"label":"positive"},{"score":0.11920292,"label":"negative"}]"#
    );
    assert_eq!(answer.header("x-modelkit-digest"), "sha256:first");
    let answer = predict(&router, r#"{"inputs":[["2"],["-100"]],"raw_scores":true}"#).await;
    let expected = r#"[[{"score":2.0,"label":"positive"},{"score":0.0,"label":"negative"}],[{"score":0.0,"label":"negative"},{"score":-100.0,"label":"positive"}]]"#;
    assert_eq!(answer.body, expected);
    assert!(
        predict(&router, r#"{"inputs":["2"]}"#).await.body.starts_with(r#"[{"score":0.88"#),
        "a flat list is one text"
    );
}

#[tokio::test]
async fn tei_says_no_in_its_own_words() {
    let router = server().await;
    let long = json!({ "inputs": "1 ".repeat(11), "truncate": false });
    for (body, status, kind) in [
        (json!({ "inputs": "" }), 400, "Empty"),
        (json!({ "inputs": ["a", "b"] }), 422, "Validation"),
        (json!({ "inputs": [["a"], "b"] }), 422, "Validation"),
        (json!({ "inputs": 1 }), 422, "Validation"),
        (json!({ "inputs": [] }), 422, "Validation"),
        (json!({ "inputs": "a", "raw_scores": 1 }), 422, "Validation"),
        (json!({ "inputs": [["a"], ["a"], ["a"], ["a"], ["a"]] }), 422, "Validation"),
        (long, 422, "Validation"),
        (json!({ "inputs": "a", "truncation_direction": "Left" }), 422, "Validation"),
        (json!({ "inputs": "a", "truncation_direction": "Up" }), 422, "Validation"),
        (json!({ "inputs": "a", "parameters": { "top_k": 0 } }), 422, "Validation"),
        (json!({ "inputs": "a", "parameters": { "top_k": "2" } }), 422, "Validation"),
        (json!({ "inputs": "a", "parameters": { "top_k": -1 } }), 422, "Validation"),
        (json!({ "inputs": "a", "parameters": { "top_k": 1.5 } }), 422, "Validation"),
        (
            json!({ "inputs": "a", "parameters": { "function_to_apply": "tanh" } }),
            422,
            "Validation",
        ),
        (json!({ "inputs": "a", "parameters": { "return_all_scores": true } }), 422, "Validation"),
        (json!({ "inputs": "a", "parameters": 1 }), 422, "Validation"),
        (
            json!({ "inputs": "a", "raw_scores": true, "parameters": { "function_to_apply": "softmax" } }),
            422,
            "Validation",
        ),
        (json!({ "inputs": "a", "top_k": 1 }), 422, "Validation"),
        (json!({ "inputs": "a", "options": { "temperature": 1 } }), 422, "Validation"),
    ] {
        let (given, answer) = post(&router, "/predict", &body).await;
        assert_eq!(
            (given.as_u16(), &answer["error_type"]),
            (status, &json!(kind)),
            "{body} {answer}"
        );
    }
}

fn tensor(shape: &[usize], data: Value) -> Value {
    json!({ "inputs": [{ "name": "text", "datatype": "BYTES", "shape": shape, "data": data }] })
}

#[tokio::test]
async fn the_open_inference_protocol_answers_tensors() {
    let router = server().await;
    let (status, answer) =
        post(&router, "/v2/models/sentiment/infer", &tensor(&[2, 1], json!([["2"], ["-2"]]))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        (&answer["model_name"], &answer["model_version"]),
        (&json!("sentiment"), &json!("sha256:first"))
    );
    let output = |n: usize| {
        (
            answer["outputs"][n]["name"].clone(),
            answer["outputs"][n]["shape"].clone(),
            answer["outputs"][n]["data"].clone(),
        )
    };
    assert_eq!(output(0), (json!("label"), json!([2, 1]), json!(["positive", "negative"])));
    assert_eq!(output(1).1, json!([2, 1]));
    assert_eq!(output(2).1, json!([2, 1, 2]));
    assert_eq!(output(3), (json!("logits"), json!([2, 1, 2]), json!([0.0, 2.0, 0.0, -2.0])));
    let mut asked = tensor(&[1], json!(["2"]));
    (asked["id"], asked["outputs"]) = (json!("seven"), json!([{ "name": "score" }]));
    let (_, answer) =
        post(&router, "/v2/models/sentiment/versions/sha256:first/infer", &asked).await;
    assert_eq!((&answer["id"], answer["outputs"].as_array().unwrap().len()), (&json!("seven"), 1));
}

#[tokio::test]
async fn the_open_inference_protocol_names_what_is_wrong() {
    let router = server().await;
    let mut binary = tensor(&[1], json!(["a"]));
    binary["inputs"][0]["datatype"] = json!("FP32");
    let mut unknown = tensor(&[1], json!(["a"]));
    unknown["outputs"] = json!([{ "name": "embedding" }]);
    let two = json!({ "inputs": [tensor(&[1], json!(["a"]))["inputs"][0], tensor(&[1], json!(["a"]))["inputs"][0]] });
    for (body, problem) in [
        (json!({}), "\"inputs\" is not a list"),
        (two, "the second input is not called \"text_pair\""),
        (binary, "not \"BYTES\""),
        (unknown, "unknown output"),
        (tensor(&[2], json!(["a"])), "1 texts, which is not its shape"),
        (tensor(&[1], json!([1])), "has 1 where a text"),
        (tensor(&[5], json!(["a", "a", "a", "a", "a"])), "sizes up to 4"),
        (
            tensor(&[3, 3], json!(["a", "a", "a", "a", "a", "a", "a", "a", "a"])),
            "9 texts are more than the 4",
        ),
        (tensor(&[], json!([])), "\"shape\""),
    ] {
        let (status, answer) = post(&router, "/v2/models/sentiment/infer", &body).await;
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(
            status == StatusCode::BAD_REQUEST && said.contains(problem),
            "{body}: {status} {answer}"
        );
    }
    for path in [
        "/v2/models/other",
        "/v2/models/sentiment/versions/7",
        "/v2/models/other/ready",
        "/v1/models/other",
    ] {
        assert_eq!(get(&router, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_open_inference_protocol_tells_of_server_and_model() {
    let router = server().await;
    assert_eq!(get(&router, "/v2/health/live").await.body, r#"{"live":true}"#);
    assert_eq!(get(&router, "/v2/health/ready").await.body, r#"{"ready":true}"#);
    assert_eq!(
        get(&router, "/v2/models/sentiment/ready").await.body,
        r#"{"name":"sentiment","ready":true}"#
    );
    let metadata: Value =
        serde_json::from_str(&get(&router, "/v2/models/sentiment").await.body).unwrap();
    assert_eq!(metadata["versions"], json!(["sha256:first"]));
    assert_eq!(metadata["inputs"], json!([{ "name": "text", "datatype": "BYTES", "shape": [-1] }]));
    assert_eq!(
        metadata["outputs"][3],
        json!({ "name": "logits", "datatype": "FP32", "shape": [-1, 2] })
    );
    let server: Value = serde_json::from_str(&get(&router, "/v2").await.body).unwrap();
    assert_eq!(server["extensions"], json!([]));
}

#[tokio::test]
async fn kserves_first_protocol_answers_predictions() {
    let router = server().await;
    let body = json!({ "instances": ["2", { "text": "-100" }] });
    let (status, answer) = post(&router, "/v1/models/sentiment:predict", &body).await;
    let expected = json!({ "predictions": [{ "label": "positive", "score": 0.8807970285415649 }, { "label": "negative", "score": 1.0 }] });
    assert_eq!((status, answer), (StatusCode::OK, expected));
    for bad in [
        json!({}),
        json!({ "instances": "a" }),
        json!({ "instances": [1] }),
        json!({ "instances": ["", "", "", "", ""] }),
    ] {
        assert_eq!(
            post(&router, "/v1/models/sentiment:predict", &bad).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
    assert_eq!(get(&router, "/v1/models").await.body, r#"{"models":["sentiment"]}"#);
    assert_eq!(
        get(&router, "/v1/models/sentiment").await.body,
        r#"{"name":"sentiment","ready":true}"#
    );
    let wrong = get(&router, "/v1/models/sentiment:predict").await;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let router = server().await;
    for (path, kind) in [
        ("/ui", "text/html"),
        ("/ui/ui.js", "text/javascript"),
        ("/ui/page.css", "text/css"),
        ("/docs", "text/html"),
        ("/docs/docs.js", "text/javascript"),
    ] {
        let answer = get(&router, path).await;
        assert!(
            answer.status == StatusCode::OK && answer.header("content-type").starts_with(kind),
            "{path}"
        );
        assert!(
            !answer.body.contains("http://")
                && !answer.body.contains("https://")
                && !answer.body.contains("innerHTML")
        );
        assert!(
            answer.header("content-security-policy").starts_with("default-src 'none'"),
            "{path}"
        );
    }
    let browser = Request::get("/")
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .body(Body::empty());
    assert!(ask(&router, browser.unwrap()).await.body.starts_with("<!doctype html>"));
    assert_eq!(get(&router, "/").await.body, r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn openapi_describes_this_server() {
    let router = server().await;
    let document: Value = serde_json::from_str(&get(&router, "/openapi.json").await.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let versioned = &document["paths"]["/v2/models/{name}/versions/{version}"]["get"]["parameters"];
    assert_eq!(
        (&versioned[0]["schema"]["enum"], &versioned[1]["schema"]["enum"]),
        (&json!(["sentiment"]), &json!(["sha256:first"]))
    );
    assert_eq!(
        document["components"]["schemas"]["Text"]["properties"]["text"]["anyOf"][1]["maxItems"],
        4
    );
    for path in document["paths"].as_object().unwrap().keys() {
        let path = path.replace("{name}", "sentiment").replace("{version}", "sha256:first");
        let status = get(&router, &path).await.status;
        assert!(
            status == StatusCode::OK || status == StatusCode::METHOD_NOT_ALLOWED,
            "{path}: {status}"
        );
    }
}

#[tokio::test]
async fn tei_takes_options_that_ask_for_what_is_done_anyway() {
    let router = server().await;
    for direction in [json!("Right"), json!("right"), json!(null)] {
        let body = json!({ "inputs": "2", "truncation_direction": direction, "parameters": { "top_k": null } });
        assert_eq!(post(&router, "/predict", &body).await.0, StatusCode::OK, "{body}");
    }
}

/// The right values are those of the text-classification pipeline of transformers for the logits 0
/// and 2.
#[tokio::test]
async fn parameters_of_the_hubs_api_are_done() {
    let router = server().await;
    for (parameters, expected) in [
        (json!({ "top_k": 1 }), json!([["positive", 0.880_797]])),
        (json!({ "top_k": 9 }), json!([["positive", 0.880_797], ["negative", 0.119_203]])),
        (json!({ "top_k": u64::MAX }), json!([["positive", 0.880_797], ["negative", 0.119_203]])),
        (json!({ "top_k": 1.0 }), json!([["positive", 0.880_797]])),
        (
            json!({ "function_to_apply": "sigmoid" }),
            json!([["positive", 0.880_797], ["negative", 0.5]]),
        ),
        (
            json!({ "function_to_apply": "softmax" }),
            json!([["positive", 0.880_797], ["negative", 0.119_203]]),
        ),
        (json!({ "function_to_apply": "none", "top_k": 1 }), json!([["positive", 2.0]])),
    ] {
        let body = json!({ "inputs": "2", "parameters": parameters, "options": { "wait_for_model": true } });
        let (status, answer) = post(&router, "/predict", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let found = answer.as_array().expect("labels");
        assert_eq!(found.len(), expected.as_array().expect("labels").len(), "{body}");
        for (found, expected) in found.iter().zip(expected.as_array().expect("labels")) {
            let difference =
                found["score"].as_f64().expect("a score") - expected[1].as_f64().expect("a score");
            assert!(found["label"] == expected[0] && difference.abs() < 1e-6, "{body}: {found}");
        }
    }
}

#[tokio::test]
async fn no_key_that_would_change_an_answer_is_swallowed() {
    let router = server().await;
    for (key, value) in [
        ("raw_scores", json!(true)),
        ("parameters", json!({ "top_k": 2 })),
        ("truncation_direction", json!("Left")),
        ("inputs", json!("b")),
        ("top_k", json!(2)),
    ] {
        let (status, answer) = post(&router, "/predict", &json!({ "text": "a", key: value })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{key}");
        assert_eq!(
            (&answer["detail"][0]["type"], &answer["detail"][0]["loc"]),
            (&json!("extra_forbidden"), &json!(["body", key]))
        );
    }
    let infer = "/v2/models/sentiment/infer";
    let mut top = tensor(&[1], json!(["a"]));
    top["outputs"] = json!([{ "name": "label", "parameters": { "classification": 2 } }]);
    let mut priority = tensor(&[1], json!(["a"]));
    priority["parameters"] = json!({ "priority": 7 });
    let mut of_input = tensor(&[1], json!(["a"]));
    of_input["inputs"][0]["parameters"] = json!({ "content_type": "np" });
    let mut raw = tensor(&[1], json!(["a"]));
    raw["raw"] = json!(true);
    let predict = "/v1/models/sentiment:predict";
    for (path, body, key) in [
        (infer, top, "classification"),
        (infer, priority, "priority"),
        (infer, of_input, "content_type"),
        (infer, raw, "raw"),
        (predict, json!({ "instances": ["a"], "signature_name": "x" }), "signature_name"),
        (predict, json!({ "instances": ["a"], "parameters": { "top_k": 1 } }), "top_k"),
        (predict, json!({ "instances": [{ "text": "a", "pair": "b" }] }), "pair"),
        (predict, json!({ "instances": ["a"], "return_probabilities": 1 }), "return_probabilities"),
        (
            predict,
            json!({ "instances": ["a"], "return_probabilities": true, "parameters": { "return_probabilities": {} } }),
            "return_probabilities",
        ),
        (
            predict,
            json!({ "instances": ["a"], "return_probabilities": true, "parameters": { "return_probabilities": false } }),
            "both true and false",
        ),
    ] {
        let (status, answer) = post(&router, path, &body).await;
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(
            status == StatusCode::BAD_REQUEST && said.contains(key),
            "{body}: {status} {answer}"
        );
    }
    let mut binary = tensor(&[1], json!(["a"]));
    binary["parameters"] = json!({ "binary_data_output": true });
    assert_eq!(
        post(&router, infer, &binary).await.0,
        StatusCode::OK,
        "Triton's client always says so"
    );
}

#[tokio::test]
async fn kserves_first_protocol_tells_all_scores_when_asked() {
    let router = server().await;
    for asked in [
        json!({ "return_probabilities": true }),
        json!({ "parameters": { "return_probabilities": true } }),
    ] {
        let mut body = json!({ "instances": ["2"] });
        body.as_object_mut()
            .expect("an object")
            .extend(asked.as_object().expect("an object").clone());
        let (status, answer) = post(&router, "/v1/models/sentiment:predict", &body).await;
        let expected = json!({ "predictions": [{ "label": "positive", "score": 0.880_797_028_541_564_9,
            "probabilities": { "negative": 0.119_202_919_304_370_88, "positive": 0.880_797_028_541_564_9 } }] });
        assert_eq!((status, answer), (StatusCode::OK, expected));
    }
}

#[tokio::test]
async fn tei_tells_of_health_and_of_the_model() {
    let router = server().await;
    let health = get(&router, "/health").await;
    assert_eq!((health.status, health.body.as_str()), (StatusCode::OK, ""));
    let info: Value = serde_json::from_str(&get(&router, "/info").await.body).expect("JSON");
    assert_eq!(
        (&info["model_id"], &info["model_sha"]),
        (&json!("localhost/first:1"), &json!("sha256:first"))
    );
    let classifier = &info["model_type"]["classifier"];
    assert_eq!(classifier["id2label"], json!({ "0": "negative", "1": "positive" }));
    assert_eq!(classifier["label2id"], json!({ "negative": 0, "positive": 1 }));
    assert_eq!(info["max_client_batch_size"], 4);
    let (early, _handle) = kit_serve::server_without_model(ServeOptions::default());
    let health = get(&early, "/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.body, r#"{"error":"unhealthy","error_type":"unhealthy"}"#);
}

#[tokio::test]
async fn pages_of_other_origins_need_leave() {
    let serving = async |origins: &[&str]| {
        let cors_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        ready(ServeOptions { cors_origins, ..Default::default() }).await.1
    };
    let ask_from = async |router: &Router, method: &str, origin: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/predict")
            .header("origin", origin)
            .header("content-type", "application/json")
            .header("access-control-request-method", "POST")
            .body(Body::from(r#"{"text":"1"}"#));
        ask(router, request.expect("a request")).await
    };
    let app = "https://app.example";
    let router = serving(&[app]).await;
    let before = ask_from(&router, "OPTIONS", app).await;
    assert_eq!(
        (before.status, before.header("access-control-allow-origin")),
        (StatusCode::NO_CONTENT, app)
    );
    assert!(before.header("access-control-allow-headers").contains("content-type"));
    let answer = ask_from(&router, "POST", app).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (StatusCode::OK, app)
    );
    assert!(answer.header("access-control-expose-headers").contains("x-modelkit-digest"));
    for method in ["OPTIONS", "POST"] {
        let other = ask_from(&router, method, "https://app.example.evil").await;
        assert_eq!(
            (other.header("access-control-allow-origin"), other.header("vary")),
            ("", "origin"),
            "{method}"
        );
    }
    assert_eq!(
        ask_from(&serving(&["*"]).await, "POST", app).await.header("access-control-allow-origin"),
        "*"
    );
    let closed = ask_from(&serving(&[]).await, "OPTIONS", app).await;
    assert_eq!(
        (closed.status, closed.header("access-control-allow-origin")),
        (StatusCode::METHOD_NOT_ALLOWED, "")
    );
}

/// A model that keeps the end of long texts.
struct KeepsEnd(FirstNumber);

impl Predictor for KeepsEnd {
    type Input = String;

    fn labels(&self) -> &[String] {
        self.0.labels()
    }

    fn prepare(&self, text: &str) -> Result<Prepared<String>, BoxError> {
        self.0.prepare(text)
    }

    fn predict(&self, inputs: &[String]) -> Result<Vec<Vec<f32>>, BoxError> {
        self.0.predict(inputs)
    }

    fn cuts_beginning(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn the_side_that_is_cut_is_the_models() {
    let model = KeepsEnd(FirstNumber::new(["negative", "positive"]));
    let (router, handle) =
        kit_serve::server(model, ModelIdentity::default(), ServeOptions::default());
    assert_eq!(handle.started().await, Lifecycle::Ready);
    for (side, status) in [("Left", 200), ("left", 200), ("Right", 422)] {
        let body = json!({ "inputs": "2", "truncation_direction": side });
        assert_eq!(post(&router, "/predict", &body).await.0, status, "{side}");
    }
}

#[tokio::test]
async fn names_of_any_text_are_safe_wherever_they_are_said() {
    for name in [
        "org/name",
        "../..",
        "two\nlines",
        "\"quoted\\\"",
        "VERSION",
        "MAX_TEXTS",
        "</script>\u{1}é",
    ] {
        let predictor = FirstNumber::new([name, "positive"]);
        let identity = ModelIdentity {
            digest: Some(format!("sha256:{name}")),
            reference: Some(name.to_owned()),
            ..Default::default()
        };
        let options = ServeOptions { model_name: name.to_owned(), ..Default::default() };
        let (router, handle) = kit_serve::server(predictor, identity, options);
        assert_eq!(handle.started().await, Lifecycle::Ready);
        let read = async |path: &str| -> Value {
            serde_json::from_str(&get(&router, path).await.body).expect("JSON, whatever the name")
        };
        let description = read("/openapi.json").await;
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
        let model = &description["paths"]["/v2/models/{name}"]["get"]["parameters"][0];
        assert_eq!(model["schema"]["enum"], json!([name]));
        assert_eq!(read("/v1/models").await["models"], json!([name]));
        assert_eq!(read("/v1/provenance").await["reference"], json!(name));
        assert_eq!(read("/info").await["model_type"]["classifier"]["id2label"]["0"], json!(name));
        let path: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(read(&format!("/v2/models/{path}")).await["name"], json!(name));
        let (_, answer) = post(&router, "/predict", &json!({ "text": "-1" })).await;
        assert_eq!(answer[0]["label"], json!(name));
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let line = format!("labels_total{{label=\"{escaped}\",role=\"stable\"}} 1\n");
        let metrics = get(&router, "/metrics").await.body;
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}
