//! Byte for byte what the tutorial's FastAPI app answers: `testdata/fastapi/answers.json` was
//! recorded from it.

use axum::body::Body;
use axum::http::Request;
use kit_serve::ServeOptions;
use serde_json::Value;

use crate::support::{ask, ready};

/// Makes the request of one recorded case.
fn request(case: &Value) -> Request<Body> {
    let body = match &case["body"] {
        Value::String(text) => text.clone().into_bytes(),
        bytes => {
            let hex = bytes["hex"].as_str().unwrap();
            (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect()
        }
    };
    let mut request = Request::builder()
        .method(case["method"].as_str().unwrap())
        .uri(case["path"].as_str().unwrap());
    if let Some(content_type) = case["content_type"].as_str() {
        request = request.header("content-type", content_type);
    }
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn answers_are_those_of_the_tutorials_app() {
    let recorded = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testdata/fastapi/answers.json"
    ))
    .unwrap();
    let cases: Vec<Value> = serde_json::from_str(&recorded).unwrap();
    let (_, router, _) = ready(ServeOptions::default()).await;
    let mut differences = Vec::new();
    for case in &cases {
        let answer = ask(&router, request(case)).await;
        let ours = (
            answer.status.as_u16().into(),
            answer.header("allow").into(),
            answer.header("content-type").into(),
            answer.body.clone().into(),
        );
        let theirs: (Value, Value, Value, Value) = (
            case["status"].clone(),
            case["allow"].as_str().unwrap_or("").into(),
            case["answer_type"].clone(),
            case["answer"].clone(),
        );
        // The recorder drops the body of a HEAD answer, as our accept loop does and a router alone
        // does not.
        let ours =
            if case["method"] == "HEAD" { (ours.0, ours.1, ours.2, "".into()) } else { ours };
        if ours != theirs {
            differences.push(format!("{}\n ours:   {ours:?}\n theirs: {theirs:?}", case["name"]));
        }
    }
    assert!(cases.len() > 70);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
