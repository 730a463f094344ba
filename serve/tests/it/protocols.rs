//! The other protocols on the same core: text-embeddings-inference's, KServe's two, and the pages.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use kit_serve::{Lifecycle, ModelIdentity, ServeOptions};
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
        (json!({ "inputs": "a", "parameters": { "top_k": 1 } }), 422, "Validation"),
        (json!({ "inputs": "a", "parameters": 1 }), 422, "Validation"),
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
        (two, "2 inputs"),
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

#[tokio::test]
async fn names_of_any_text_are_safe_wherever_they_are_said() {
    for name in ["two\nlines", "\"quoted\\\"", "VERSION", "MAX_TEXTS", "</script>\u{1}é"] {
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
        let (_, answer) = post(&router, "/predict", &json!({ "text": "-1" })).await;
        assert_eq!(answer[0]["label"], json!(name));
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let line = format!("labels_total{{label=\"{escaped}\",role=\"stable\"}} 1\n");
        let metrics = get(&router, "/metrics").await.body;
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}
