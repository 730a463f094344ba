//! A predictor to serve, and ways to ask a router.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use kit_serve::{
    BoxError, Handle, Lifecycle, ModelIdentity, Predictor, Prepared, ServeOptions, server,
};
use tower::ServiceExt;

/// Two labels; the first word of a text, where it is a number, is the logit of the second.
#[derive(Clone)]
pub(crate) struct FirstNumber {
    labels: Vec<String>,
    pub(crate) gate: Gate,
    /// The number of texts in each batch.
    pub(crate) batches: Arc<Mutex<Vec<usize>>>,
}

impl FirstNumber {
    pub(crate) fn new(labels: [&str; 2]) -> Self {
        Self {
            labels: labels.map(str::to_owned).to_vec(),
            gate: Gate::default(),
            batches: Arc::default(),
        }
    }
}

impl Predictor for FirstNumber {
    type Input = String;

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn prepare(&self, text: &str) -> Result<Prepared<String>, BoxError> {
        let n_tokens = text.split_whitespace().count().max(1);
        Ok(Prepared { input: text.to_owned(), n_tokens, truncated: n_tokens > 10 })
    }

    fn predict(&self, inputs: &[String]) -> Result<Vec<Vec<f32>>, BoxError> {
        self.gate.pass();
        self.batches.lock().unwrap().push(inputs.len());
        let logit = |text: &String| match text.split_whitespace().next() {
            Some("panic") => panic!("asked for"),
            Some("fail") => Err("asked for".into()),
            Some("nan") => Ok(vec![f32::NAN, 0.0]),
            word => Ok(vec![0.0, word.and_then(|word| word.parse().ok()).unwrap_or(0.0)]),
        };
        inputs.iter().map(logit).collect()
    }
}

/// Holds the compute thread while it is closed.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<Passage>, Condvar)>);

#[derive(Default)]
struct Passage {
    closed: bool,
    held: bool,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.0.0.lock().unwrap().closed = true;
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().closed = false;
        self.0.1.notify_all();
    }

    /// Whether the compute thread stands before it, with its batch in hand.
    pub(crate) fn holds(&self) -> bool {
        self.0.0.lock().unwrap().held
    }

    fn pass(&self) {
        let mut passage = self.0.0.lock().unwrap();
        passage.held = passage.closed;
        passage = self.0.1.wait_while(passage, |passage| passage.closed).unwrap();
        passage.held = false;
    }
}

/// Waits for a condition; fails after 20 seconds.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "the condition did not come true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A model's identity by one word.
pub(crate) fn identity(name: &str) -> ModelIdentity {
    ModelIdentity {
        digest: Some(format!("sha256:{name}")),
        reference: Some(format!("localhost/{name}:1")),
        ..Default::default()
    }
}

/// A ready server of [`FirstNumber`].
pub(crate) async fn ready(options: ServeOptions) -> (FirstNumber, Router, Handle) {
    let predictor = FirstNumber::new(["negative", "positive"]);
    let (router, handle) = server(predictor.clone(), identity("first"), options);
    assert_eq!(handle.started().await, Lifecycle::Ready);
    predictor.batches.lock().unwrap().clear();
    (predictor, router, handle)
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    ask(router, Request::get(path).body(Body::empty()).unwrap()).await
}

pub(crate) fn predict_request(body: impl Into<Body>) -> Request<Body> {
    Request::post("/predict").header("content-type", "application/json").body(body.into()).unwrap()
}

pub(crate) async fn predict(router: &Router, body: &str) -> Answer {
    ask(router, predict_request(body.to_owned())).await
}
