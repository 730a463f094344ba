//! Serves a classifier that is a plain function.

use std::error::Error;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use kit_serve::{BoxError, ModelIdentity, Predictor, Prepared, ServeOptions};
use tower::ServiceExt;

/// Any function from a text to one logit per label.
struct Closure<F> {
    labels: Vec<String>,
    logits: F,
}

impl<F: Fn(&str) -> Vec<f32> + Send + Sync + 'static> Predictor for Closure<F> {
    type Input = String;

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn prepare(&self, text: &str) -> Result<Prepared<String>, BoxError> {
        Ok(Prepared {
            input: text.to_owned(),
            n_tokens: text.split_whitespace().count(),
            truncated: false,
        })
    }

    fn predict(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, BoxError> {
        Ok(texts.iter().map(|text| (self.logits)(text)).collect())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cheerful = |text: &str| if text.contains("love") { vec![0.0, 2.0] } else { vec![2.0, 0.0] };
    let predictor =
        Closure { labels: vec!["negative".to_owned(), "positive".to_owned()], logits: cheerful };
    let identity =
        ModelIdentity { reference: Some("localhost/closure:1".to_owned()), ..Default::default() };
    let (router, handle) = kit_serve::server(predictor, identity, ServeOptions::default());

    // The router is a value: ask it without a socket.
    let request = Request::post("/predict")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"text":"I love it"}"#))?;
    let answer = router.clone().oneshot(request).await?;
    assert_eq!(answer.headers()["x-model-version"], "localhost/closure:1");
    assert_eq!(
        answer.into_body().collect().await?.to_bytes(),
        r#"[{"label":"positive","score":0.8807970285415649}]"#
    );

    // Or serve it, here until a shutdown that comes at once; a program would wait for a signal.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    kit_serve::run(listener, router, handle, async {}).await?;
    Ok(())
}
