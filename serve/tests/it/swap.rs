//! Starting, swapping and draining through the handle.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use kit_serve::{BoxError, Lifecycle, ModelIdentity, Predictor, Prepared, ServeOptions, server};

use crate::support::{FirstNumber, get, identity, predict, ready, until};

/// A model whose weights are nonsense.
struct Broken(Vec<String>);

impl Predictor for Broken {
    type Input = ();

    fn labels(&self) -> &[String] {
        &self.0
    }

    fn prepare(&self, _text: &str) -> Result<Prepared<()>, BoxError> {
        Ok(Prepared { input: (), n_tokens: 1, truncated: false })
    }

    fn predict(&self, inputs: &[()]) -> Result<Vec<Vec<f32>>, BoxError> {
        Ok(vec![vec![f32::NAN]; inputs.len()])
    }
}

#[tokio::test]
async fn ready_means_a_forward_pass_was_right() {
    let predictor = FirstNumber::new(["a", "b"]);
    predictor.gate.close();
    let (router, handle) =
        server(predictor.clone(), ModelIdentity::default(), ServeOptions::default());
    assert_eq!(get(&router, "/livez").await.status, StatusCode::OK);
    assert_eq!(get(&router, "/startupz").await.body, r#"{"status":"starting"}"#);
    assert_eq!(get(&router, "/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    predictor.gate.open();
    assert_eq!(handle.started().await, Lifecycle::Ready);
    assert_eq!(get(&router, "/startupz").await.status, StatusCode::OK);
    assert_eq!(get(&router, "/readyz").await.body, r#"{"status":"ready"}"#);
}

#[tokio::test]
async fn a_broken_model_never_becomes_ready_until_it_is_swapped() {
    let (router, handle) =
        server(Broken(vec!["a".to_owned()]), identity("broken"), ServeOptions::default());
    let Lifecycle::Failed(reason) = handle.started().await else { panic!("it did not fail") };
    assert_eq!(
        &*reason,
        "cannot serve the model: its first forward pass failed: the logits [NaN] are not 1 finite numbers"
    );
    let answer = get(&router, "/readyz").await;
    assert!(
        answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.body.contains("NaN"),
        "{answer:?}"
    );
    assert_eq!(predict(&router, r#"{"text":"1"}"#).await.status, StatusCode::SERVICE_UNAVAILABLE);
    handle.swap(FirstNumber::new(["a", "b"]), identity("good")).await.unwrap();
    assert_eq!(get(&router, "/readyz").await.status, StatusCode::OK);
    assert_eq!(
        predict(&router, r#"{"text":"1"}"#).await.header("x-modelkit-digest"),
        "sha256:good"
    );
}

#[tokio::test]
async fn a_bad_model_is_refused_and_the_old_one_keeps_serving() {
    let (_, router, handle) = ready(ServeOptions::default()).await;
    let error = handle.swap(Broken(vec!["a".to_owned()]), identity("broken")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot serve the model: its first forward pass failed");
    assert_eq!(error.source().unwrap().to_string(), "the logits [NaN] are not 1 finite numbers");
    assert_eq!(handle.identity().digest.as_deref(), Some("sha256:first"));
    assert_eq!(
        predict(&router, r#"{"text":"1"}"#).await.header("x-modelkit-digest"),
        "sha256:first"
    );
    assert!(
        get(&router, "/metrics")
            .await
            .body
            .contains("kit_rs_serve_swaps_total{result=\"refused\"} 1\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_mixes_two_models_while_they_are_swapped() {
    let (_, router, handle) = ready(ServeOptions::default()).await;
    handle.swap(FirstNumber::new(["n", "p0"]), identity("p0")).await.unwrap();
    let n_answers = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> =
        (0..4).map(|_| tokio::spawn(ask_on(router.clone(), Arc::clone(&n_answers)))).collect();
    for n in 1..=100 {
        let label = format!("p{}", n % 5);
        handle.swap(FirstNumber::new(["n", &label]), identity(&label)).await.unwrap();
        // Four requests can have begun before; the fifth is answered by the new model.
        let before = n_answers.load(Ordering::Relaxed);
        until(async || n_answers.load(Ordering::Relaxed) >= before + 5).await;
    }
    n_answers.store(usize::MAX / 2, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for client in clients {
        seen.extend(client.await.expect("no answer was mixed"));
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

/// Asks until the count of answers is made enormous; each answer must have the label of the model
/// in its header. Returns the labels.
async fn ask_on(router: Router, n_answers: Arc<AtomicUsize>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while n_answers.fetch_add(1, Ordering::Relaxed) < usize::MAX / 2 {
        let answer = predict(&router, r#"{"text":["1","2","3"]}"#).await;
        let label = answer.header("x-modelkit-digest").strip_prefix("sha256:").unwrap().to_owned();
        assert_eq!(answer.body.matches(&format!("\"label\":\"{label}\"")).count(), 3, "{answer:?}");
        seen.insert(label);
    }
    seen
}

#[tokio::test]
async fn a_request_that_began_before_a_swap_is_finished_by_the_old_model() {
    let (predictor, router, handle) = ready(ServeOptions::default()).await;
    predictor.gate.close();
    let old = tokio::spawn({
        let router = router.clone();
        async move { predict(&router, r#"{"text":"1"}"#).await }
    });
    until(async || predictor.gate.holds()).await;
    let swap = tokio::spawn({
        let handle = handle.clone();
        async move { handle.swap(FirstNumber::new(["c", "d"]), identity("second")).await }
    });
    predictor.gate.open();
    swap.await.unwrap().unwrap();
    let old = old.await.unwrap();
    assert_eq!(
        (old.header("x-modelkit-digest"), old.body.contains("positive")),
        ("sha256:first", true)
    );
    let new = predict(&router, r#"{"text":"1"}"#).await;
    assert_eq!(
        (new.header("x-modelkit-digest"), new.body.contains("\"d\"")),
        ("sha256:second", true)
    );
}

#[tokio::test]
async fn draining_waits_for_what_is_in_flight() {
    let (predictor, router, handle) = ready(ServeOptions::default()).await;
    predictor.gate.close();
    let answer = tokio::spawn({
        let router = router.clone();
        async move { predict(&router, r#"{"text":"1"}"#).await.status }
    });
    until(async || predictor.gate.holds()).await;
    let mut drain = std::pin::pin!(handle.drain());
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(1), drain.as_mut()).await.is_err()
    );
    assert_eq!(get(&router, "/readyz").await.body, r#"{"status":"draining"}"#);
    predictor.gate.open();
    drain.await;
    assert_eq!(answer.await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_canary_answers_its_share_and_is_compared_with_the_stable_model() {
    let (_, router, handle) = ready(ServeOptions::default()).await;
    handle.canary(FirstNumber::new(["no", "yes"]), identity("canary"), 1.0).await.unwrap();
    assert_eq!(handle.canary_identity().unwrap().1, 1.0);
    let answer = predict(&router, r#"{"text":"1"}"#).await;
    assert_eq!(
        (answer.header("x-modelkit-digest"), answer.body.contains("\"yes\"")),
        ("sha256:canary", true)
    );
    let line = "kit_rs_serve_second_opinions_total{of=\"canary\",result=\"disagrees\"} 1\n";
    until(async || get(&router, "/metrics").await.body.contains(line)).await;
    assert_eq!(
        predict(&router, r#"{"text":"fail"}"#).await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    let answer = predict(&router, r#"{"text":"1"}"#).await;
    assert_eq!(
        answer.header("x-modelkit-digest"),
        "sha256:first",
        "a canary that fails gets no more requests"
    );
    assert!(handle.canary_identity().is_none() && !handle.promote_canary());
    handle.canary(FirstNumber::new(["no", "yes"]), identity("better"), 0.0).await.unwrap();
    assert!(handle.promote_canary());
    assert_eq!(handle.identity().digest.as_deref(), Some("sha256:better"));
    assert!(handle.canary(Broken(vec!["a".to_owned()]), identity("broken"), 1.0).await.is_err());
}

#[tokio::test]
async fn a_shadow_is_asked_afterwards_and_never_answers() {
    let (_, router, handle) = ready(ServeOptions::default()).await;
    let shadow = FirstNumber::new(["negative", "positive"]);
    handle.shadow(shadow.clone(), identity("shadow")).await.unwrap();
    shadow.batches.lock().unwrap().clear();
    let answer = predict(&router, r#"{"text":["1","2","3"]}"#).await;
    assert_eq!(answer.header("x-modelkit-digest"), "sha256:first");
    let line = "kit_rs_serve_second_opinions_total{of=\"shadow\",result=\"agrees\"} 3\n";
    until(async || get(&router, "/metrics").await.body.contains(line)).await;
    assert_eq!(
        *shadow.batches.lock().unwrap(),
        [1, 1, 1],
        "one by one, so that nobody waits for long"
    );
    handle.end_shadow();
    predict(&router, r#"{"text":"1"}"#).await;
    assert_eq!(shadow.batches.lock().unwrap().len(), 3);
}
