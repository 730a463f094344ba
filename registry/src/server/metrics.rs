//! What the registry has done, as Prometheus reads it.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::Collected;

/// The media type of what [`Metrics::render`] writes.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of the histogram of answering times, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// What the registry has done since it was made.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// Whether or not they became a blob.
    pub(super) uploaded_bytes: Counter,
    pub(super) downloaded_bytes: Counter,
    pub(super) mounts: Counter,
    pub(super) expired_uploads: Counter,
    pub(super) refused_logins: Counter,
    collected_blobs: Counter,
    collected_bytes: Counter,
    uploads: Gauge,
    in_flight: Gauge,
    requests: Family<Answered, Counter>,
    answer_seconds: Family<Asked, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    status: u16,
}

/// A request that is being answered.
pub(super) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("kit_rs_registry");
        let it = &mut registry;
        Self {
            uploaded_bytes: register(it, "uploaded_bytes", "Bytes of blobs received"),
            downloaded_bytes: register(it, "downloaded_bytes", "Bytes of blobs sent"),
            mounts: register(it, "mounts", "Blobs given to a repository from another one"),
            expired_uploads: register(
                it,
                "expired_uploads",
                "Uploads thrown away because nobody went on with them",
            ),
            refused_logins: register(
                it,
                "refused_logins",
                "Requests without a user, or with a wrong password",
            ),
            collected_blobs: register(
                it,
                "collected_blobs",
                "Blobs that garbage collection took away",
            ),
            collected_bytes: register(
                it,
                "collected_bytes",
                "Bytes that garbage collection took away",
            ),
            uploads: register(it, "uploads", "Uploads under way"),
            in_flight: register(it, "requests_in_flight", "Requests being answered"),
            requests: register(it, "requests", "Requests answered"),
            answer_seconds: {
                let family = Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> _);
                it.register("answer_seconds", "Time until an answer began", family.clone());
                family
            },
            registry,
        }
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Counts what garbage collection took away.
    pub(super) fn count_garbage(&self, collected: &Collected) {
        self.collected_blobs.inc_by(collected.blobs as u64);
        self.collected_bytes.inc_by(collected.bytes);
    }

    /// Counts a request as being answered while the returned value lives.
    pub(super) fn begin_request(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answered request. Methods of the client's invention count as one.
    pub(super) fn count_request(&self, method: &Method, status: StatusCode, took: Duration) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let method = known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other");
        self.requests.get_or_create(&Answered { method, status: status.as_u16() }).inc();
        self.answer_seconds.get_or_create(&Asked { method }).observe(took.as_secs_f64());
    }

    /// Writes all metrics.
    pub(super) fn render(&self, n_uploads: usize) -> String {
        self.uploads.set(n_uploads as i64);
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to memory does not fail");
        out
    }
}
