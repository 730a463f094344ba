//! Spans for OpenTelemetry: one per answer, sent in batches to a collector as OTLP over HTTP with
//! JSON. Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP" and its JSON mapping; semantic conventions
//! for HTTP servers. When the collector is slow or away, spans are dropped and counted, and no
//! request waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};
use serve::{Exchange, Handle};
use tokio::sync::mpsc;

/// Spans that wait for the next batch, at most.
const MAX_WAITING: usize = 2048;
/// Spans of one batch, at most.
const MAX_BATCH: usize = 512;
/// How long a batch fills.
const INTERVAL: Duration = Duration::from_secs(1);

/// Exports each sampled answer of a server from now on.
pub(super) fn export(handle: &Handle, endpoint: &str) -> anyhow::Result<()> {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    // One that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build();
    let client = client.context("cannot make an HTTP client for spans")?;
    let (send, spans) = mpsc::channel(MAX_WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&dropped);
    handle.observe(move |exchange| {
        if exchange.trace.sampled && send.try_send(span(exchange)).is_err() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    tokio::spawn(send_batches(client, url, spans, dropped));
    Ok(())
}

async fn send_batches(
    client: reqwest::Client,
    url: String,
    mut spans: mpsc::Receiver<Value>,
    dropped: Arc<AtomicU64>,
) {
    loop {
        let mut batch = Vec::new();
        if spans.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
        while batch.len() < MAX_BATCH
            && let Ok(span) = spans.try_recv()
        {
            batch.push(span);
        }
        let n_spans = batch.len() as u64;
        let sent = client
            .post(&url)
            .json(&document(batch))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        if let Err(error) = sent {
            dropped.fetch_add(n_spans, Ordering::Relaxed);
            tracing::warn!(
                dropped = dropped.load(Ordering::Relaxed),
                "cannot export spans: {error}"
            );
        }
    }
}

/// An `ExportTraceServiceRequest`.
fn document(spans: Vec<Value>) -> Value {
    let resource = json!({ "attributes": [
        attribute("service.name", json!({ "stringValue": "kit-rs" })),
        attribute("service.version", json!({ "stringValue": env!("CARGO_PKG_VERSION") })),
    ]});
    let scope = json!({ "name": "kit-rs serve", "version": env!("CARGO_PKG_VERSION") });
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "scope": scope, "spans": spans }] }] })
}

/// One answer as a span of a server.
fn span(exchange: &Exchange) -> Value {
    let Exchange {
        method, route, status, started, duration, request_id, trace, digest, usage, ..
    } = exchange;
    let began = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = |time: Duration| time.as_nanos().to_string();
    let text = |value: &str| json!({ "stringValue": value });
    let number = |value: u64| json!({ "intValue": value.to_string() });
    let millis = |time: Duration| json!({ "doubleValue": time.as_secs_f64() * 1e3 });
    let mut attributes = vec![
        attribute("http.request.method", text(method)),
        attribute("http.route", text(route)),
        attribute("http.response.status_code", number(u64::from(*status))),
        attribute("kit_rs.request_id", text(request_id)),
    ];
    attributes
        .extend(digest.as_ref().map(|digest| attribute("kit_rs.modelkit.digest", text(digest))));
    if let Some(usage) = usage {
        attributes.extend([
            attribute("kit_rs.texts", number(usage.n_texts as u64)),
            attribute("kit_rs.tokens", number(usage.n_tokens as u64)),
            attribute("kit_rs.queue_ms", millis(usage.waited)),
            attribute("kit_rs.compute_ms", millis(usage.computed)),
        ]);
    }
    json!({
        "traceId": trace.trace_id,
        "spanId": trace.span_id,
        "parentSpanId": trace.parent_id.as_deref().unwrap_or(""),
        "name": format!("{method} {route}"),
        "kind": 2,
        "startTimeUnixNano": nanos(began),
        "endTimeUnixNano": nanos(began + *duration),
        "attributes": attributes,
        "status": { "code": if *status >= 500 { 2 } else { 0 } },
    })
}

fn attribute(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}
