//! The routes, called as a value.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use kit_serve::{BoxError, Lifecycle, ModelIdentity, Predictor, Prepared, ServeOptions, server};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{
    Answer, FirstNumber, ask, get, identity, predict, predict_request, ready, until,
};

#[tokio::test]
async fn a_text_gets_its_best_label() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    let answer = predict(&router, r#"{"text":"2 words"}"#).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, r#"[{"label":"positive","score":0.8807970285415649}]"#)
    );
    let answer = predict(&router, r#"{"text":"-100"}"#).await;
    assert_eq!(answer.body, r#"[{"label":"negative","score":1.0}]"#);
}

#[tokio::test]
async fn a_list_of_texts_gets_one_answer_per_text() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    let answer = predict(&router, r#"{"text":["2","-2"]}"#).await;
    let expected = r#"[[{"label":"positive","score":0.8807970285415649}],[{"label":"negative","score":0.8807970285415649}]]"#;
    assert_eq!(answer.body, expected);
    assert_eq!(predict(&router, r#"{"text":[]}"#).await.body, "[]");
}

#[tokio::test]
async fn a_list_with_other_things_is_refused_with_all_of_them() {
    let (_, router, _) = ready(ServeOptions { max_texts: 3, ..Default::default() }).await;
    let answer = predict(&router, r#"{"text":["a",1,null]}"#).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&body["detail"][0]["loc"], &body["detail"][1]["loc"]),
        (&json!(["body", "text", 1]), &json!(["body", "text", 2]))
    );
    let answer = predict(&router, r#"{"text":["a","b","c","d"]}"#).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        body["detail"][0]["ctx"],
        json!({"field_type":"List","max_length":3,"actual_length":4})
    );
}

#[tokio::test]
async fn every_answer_says_which_model_and_which_request() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    let requests = [
        "/",
        "/livez",
        "/startupz",
        "/readyz",
        "/metrics",
        "/v1/provenance",
        "/nothing",
        "/predict",
    ];
    let mut ids = std::collections::BTreeSet::new();
    for path in requests {
        let answer = get(&router, path).await;
        assert_eq!(answer.header("x-modelkit-digest"), "sha256:first", "{path}");
        assert_eq!(answer.header("x-model-version"), "localhost/first:1", "{path}");
        ids.insert(answer.header("x-request-id").to_owned());
    }
    assert!(ids.len() == requests.len() && !ids.contains(""), "{ids:?}");
    let answer = predict(&router, r#"{"text":"a"}"#).await;
    assert_eq!(answer.header("x-modelkit-digest"), "sha256:first");
    let timing = answer.header("server-timing");
    assert!(
        timing.starts_with("tok;dur=")
            && timing.contains(", queue;dur=")
            && timing.contains(", infer;dur="),
        "{timing}"
    );
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_others_are_replaced() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    for (sent, kept) in
        [("abc-123", true), ("has spaces", false), ("", false), (&"x".repeat(129), false)]
    {
        let answer = ask(
            &router,
            Request::get("/").header("x-request-id", sent).body(Body::empty()).unwrap(),
        )
        .await;
        assert_eq!(answer.header("x-request-id") == sent, kept, "{sent}");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn a_model_without_identity_has_no_headers_for_it() {
    let (router, _handle) =
        server(FirstNumber::new(["a", "b"]), ModelIdentity::default(), ServeOptions::default());
    let answer = get(&router, "/").await;
    assert!(
        !answer.headers.contains_key("x-modelkit-digest")
            && !answer.headers.contains_key("x-model-version")
    );
    assert_eq!(
        get(&router, "/v1/provenance").await.body,
        r#"{"digest":null,"reference":null,"kitfile":null,"manifest":null}"#
    );
}

#[tokio::test]
async fn provenance_shows_the_manifest_byte_for_byte() {
    let manifest = br#"{ "schemaVersion":2,  "b":1,"a":[ ]}"#;
    let identity = ModelIdentity {
        kitfile: Some(json!({"manifestVersion":"1.0.0"})),
        manifest: Some(manifest.to_vec()),
        ..identity("x")
    };
    let (router, _handle) = server(FirstNumber::new(["a", "b"]), identity, ServeOptions::default());
    let body = get(&router, "/v1/provenance").await.body;
    let expected = r#"{"digest":"sha256:x","reference":"localhost/x:1","kitfile":{"manifestVersion":"1.0.0"},"manifest":{ "schemaVersion":2,  "b":1,"a":[ ]}}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn truncation_is_said() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    let long = format!(r#"{{"text":"{}"}}"#, "1 ".repeat(11));
    let answer = predict(&router, &long).await;
    assert_eq!((answer.status, answer.header("x-truncated")), (StatusCode::OK, "true"));
    assert_eq!(predict(&router, r#"{"text":"1"}"#).await.header("x-truncated"), "");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let (_, router, _) = ready(ServeOptions { max_body_bytes: 100, ..Default::default() }).await;
    let large = format!(r#"{{"text":"{}"}}"#, "a".repeat(100));
    let answer = predict(&router, &large).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, r#"{"detail":"Content Too Large"}"#)
    );
    let unannounced = Body::new(http_body_util::StreamBody::new(Chunks(large.into_bytes())));
    assert_eq!(
        ask(&router, predict_request(unannounced)).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

/// A body that comes byte by byte and does not say how long it is.
struct Chunks(Vec<u8>);

impl futures_util::Stream for Chunks {
    type Item = Result<hyper::body::Frame<bytes::Bytes>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let byte = (!self.0.is_empty()).then(|| self.0.remove(0));
        std::task::Poll::Ready(byte.map(|byte| Ok(hyper::body::Frame::data(vec![byte].into()))))
    }
}

#[tokio::test]
async fn long_texts_are_answered_too() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    let long = format!(r#"{{"text":"2 {}"}}"#, "a ".repeat(100_000));
    assert_eq!(
        predict(&router, &long).await.body,
        r#"[{"label":"positive","score":0.8807970285415649}]"#
    );
}

#[tokio::test]
async fn a_failing_model_is_a_500_and_the_next_text_is_answered() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    for bad in ["panic", "fail", "nan"] {
        let answer = predict(&router, &format!(r#"{{"text":"{bad}"}}"#)).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            "{bad}"
        );
    }
    assert_eq!(predict(&router, r#"{"text":"1"}"#).await.status, StatusCode::OK);
}

/// Asks in the background.
fn ask_meanwhile(router: &Router, body: &'static str) -> JoinHandle<Answer> {
    let router = router.clone();
    tokio::spawn(async move { predict(&router, body).await })
}

#[tokio::test]
async fn a_full_queue_is_a_429_and_probes_are_answered_meanwhile() {
    let (predictor, router, handle) =
        ready(ServeOptions { max_queue_tokens: 4, ..Default::default() }).await;
    predictor.gate.close();
    let computed = ask_meanwhile(&router, r#"{"text":"1"}"#);
    until(async || predictor.gate.holds()).await;
    let waiting = [(); 2].map(|()| ask_meanwhile(&router, r#"{"text":"1 2"}"#));
    until(async || shows(&router, "queue_depth{unit=\"tokens\"} 4").await).await;

    let refused = predict(&router, r#"{"text":"1"}"#).await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (StatusCode::TOO_MANY_REQUESTS, r#"{"detail":"Too Many Requests"}"#)
    );
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(get(&router, "/readyz").await.status, StatusCode::OK);
    assert!(
        shows(&router, "shed_total{reason=\"tokens\"} 1").await
            && shows(&router, "in_flight 3").await
    );

    predictor.gate.open();
    for answer in waiting.into_iter().chain([computed]) {
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    }
    handle.drain().await;
    assert!(
        shows(&router, "queue_depth{unit=\"tokens\"} 0").await
            && shows(&router, "in_flight 0").await
    );
}

#[tokio::test]
async fn a_busy_server_batches_and_drops_whom_nobody_waits_for() {
    let (predictor, router, _) = ready(ServeOptions::default()).await;
    predictor.gate.close();
    let first = ask_meanwhile(&router, r#"{"text":"1"}"#);
    until(async || predictor.gate.holds()).await;
    let [second, third, gone] = [r#"{"text":"1"}"#, r#"{"text":["1","2"]}"#, r#"{"text":"1"}"#]
        .map(|body| ask_meanwhile(&router, body));
    until(async || shows(&router, "queue_depth{unit=\"texts\"} 4").await).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    predictor.gate.open();
    for answer in [first, second, third] {
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(*predictor.batches.lock().unwrap(), [1, 3]);
}

/// Whether the metrics show a line.
async fn shows(router: &Router, line: &str) -> bool {
    get(router, "/metrics").await.body.contains(&format!("kit_rs_serve_{line}\n"))
}

#[tokio::test]
async fn metrics_count_answers_and_labels() {
    let (_, router, _) = ready(ServeOptions::default()).await;
    predict(&router, r#"{"text":["1","1","-1"]}"#).await;
    predict(&router, "{}").await;
    get(&router, "/no/such/path").await;
    let metrics = get(&router, "/metrics").await.body;
    let lines = [
        "requests_total{method=\"POST\",route=\"/predict\",status=\"200\"} 1",
        "requests_total{method=\"POST\",route=\"/predict\",status=\"422\"} 1",
        "requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 1",
        "labels_total{label=\"positive\",role=\"stable\"} 2",
        "labels_total{label=\"negative\",role=\"stable\"} 1",
        "batch_texts_sum 3.0",
        "ready 1",
        "model_info{digest=\"sha256:first\",reference=\"localhost/first:1\",role=\"stable\"} 1",
    ];
    for line in lines {
        assert!(metrics.contains(&format!("kit_rs_serve_{line}\n")), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_504_and_its_text_is_not_computed() {
    let (predictor, router, _) = ready(ServeOptions::default()).await;
    predictor.gate.close();
    let first = ask_meanwhile(&router, r#"{"text":"1"}"#);
    until(async || predictor.gate.holds()).await;
    let with_deadline = |millis: &str| {
        let mut request = predict_request(r#"{"text":"2"}"#);
        request.headers_mut().insert("x-request-timeout-ms", millis.parse().unwrap());
        request
    };
    let late = ask(&router, with_deadline("20")).await;
    assert_eq!(
        (late.status, late.body.as_str()),
        (StatusCode::GATEWAY_TIMEOUT, r#"{"detail":"Gateway Timeout"}"#)
    );
    predictor.gate.open();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    assert_eq!(ask(&router, with_deadline("0")).await.status, StatusCode::GATEWAY_TIMEOUT);
    for bad in ["", "-1", "1.5", "soon"] {
        assert_eq!(
            ask(&router, with_deadline(bad)).await.status,
            StatusCode::BAD_REQUEST,
            "{bad:?}"
        );
    }
    assert_eq!(ask(&router, with_deadline("99999999999999999999999")).await.status, StatusCode::OK);
    assert!(shows(&router, "late_total 2").await);
    assert_eq!(*predictor.batches.lock().unwrap(), [1, 1]);
}

#[tokio::test]
async fn all_bodies_together_stay_within_the_budget() {
    let (_, router, _) = ready(ServeOptions { max_buffered_bytes: 50, ..Default::default() }).await;
    let body = format!(r#"{{"text":"{}"}}"#, "a".repeat(60));
    assert_eq!(predict(&router, &body).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        predict(&router, r#"{"text":"1"}"#).await.status,
        StatusCode::OK,
        "what was held came back"
    );
}

#[tokio::test]
async fn a_server_without_a_model_says_so_until_one_is_brought() {
    let (router, handle) = kit_serve::server_without_model(ServeOptions::default());
    assert_eq!(get(&router, "/livez").await.status, StatusCode::OK);
    assert_eq!(get(&router, "/startupz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let early = predict(&router, r#"{"text":"1"}"#).await;
    assert_eq!((early.status, early.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    handle.swap(FirstNumber::new(["a", "b"]), identity("first")).await.unwrap();
    assert_eq!(get(&router, "/readyz").await.status, StatusCode::OK);
    assert_eq!(predict(&router, r#"{"text":"1"}"#).await.status, StatusCode::OK);
    assert!(
        shows(&router, "swaps_total{result=\"done\"} 0").await,
        "the first model replaces none"
    );
}

#[tokio::test]
async fn a_trace_is_continued_and_the_observer_hears_of_it() {
    let (_, router, handle) = ready(ServeOptions::default()).await;
    let (send, heard) = std::sync::mpsc::channel();
    assert!(handle.observe(move |exchange| send.send(exchange.clone()).unwrap()));
    assert!(!handle.observe(|_| ()), "the first one stays");
    let mut request = predict_request(r#"{"text":["1","2"]}"#);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.headers_mut().insert("traceparent", parent.parse().unwrap());
    let answer = ask(&router, request).await;
    let exchange = heard.recv().unwrap();
    assert_eq!(
        (exchange.route.as_str(), exchange.status, exchange.digest.as_deref()),
        ("/predict", 200, Some("sha256:first"))
    );
    assert_eq!(exchange.trace.parent_id.as_deref(), Some("00f067aa0ba902b7"));
    let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", exchange.trace.span_id);
    assert_eq!(answer.header("traceresponse"), expected);
    assert_eq!(exchange.usage.map(|usage| (usage.n_texts, usage.n_tokens)), Some((2, 2)));
}

#[tokio::test]
async fn limits_at_the_edges_of_their_types_are_limits() {
    let (_, router, handle) = ready(ServeOptions {
        max_queue_tokens: usize::MAX,
        max_queue_wait: Duration::MAX,
        max_batch_tokens: usize::MAX,
        max_body_bytes: usize::MAX,
        max_buffered_bytes: usize::MAX,
        max_texts: usize::MAX,
        max_preparing: usize::MAX,
        request_timeout: Duration::MAX,
        body_timeout: Duration::MAX,
        head_timeout: Duration::MAX,
        ..Default::default()
    })
    .await;
    assert_eq!(predict(&router, r#"{"text":["1","2"]}"#).await.status, StatusCode::OK);
    assert!(handle.options().request_timeout < Duration::MAX);
}

/// A model that says of each text that it has all the tokens that can be counted.
struct Endless([String; 2]);

impl Predictor for Endless {
    type Input = ();

    fn labels(&self) -> &[String] {
        &self.0
    }

    fn prepare(&self, _text: &str) -> Result<Prepared<()>, BoxError> {
        Ok(Prepared { input: (), n_tokens: usize::MAX, truncated: false })
    }

    fn predict(&self, inputs: &[()]) -> Result<Vec<Vec<f32>>, BoxError> {
        Ok(vec![vec![0.0, 1.0]; inputs.len()])
    }
}

#[tokio::test]
async fn sums_of_tokens_do_not_overflow() {
    let labels = ["a", "b"].map(str::to_owned);
    let (router, handle) = server(Endless(labels), identity("x"), ServeOptions::default());
    assert_eq!(handle.started().await, Lifecycle::Ready);
    for _ in 0..2 {
        let answer = predict(&router, r#"{"text":["1","2","3"]}"#).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    assert!(shows(&router, "queue_depth{unit=\"tokens\"} 0").await);
}
