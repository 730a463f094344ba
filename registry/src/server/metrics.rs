//! Counters, in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};

use crate::Collected;

/// The upper bounds of the histogram of answering times, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// What the registry has done since it was made.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    uploaded_bytes: AtomicU64,
    downloaded_bytes: AtomicU64,
    mounts: AtomicU64,
    expired: AtomicU64,
    refused: AtomicU64,
    collected_blobs: AtomicU64,
    collected_bytes: AtomicU64,
    in_flight: AtomicU64,
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    times: Mutex<BTreeMap<&'static str, Times>>,
}

/// How long answers took to begin.
#[derive(Debug, Default)]
struct Times {
    /// For each bound, those that were not slower.
    within: [u64; BOUNDS.len()],
    n: u64,
    sum: f64,
}

/// A request that is being answered.
pub(super) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts bytes of blobs that arrived, whether or not they became a blob.
    pub(super) fn count_uploaded(&self, n_bytes: u64) {
        self.uploaded_bytes.fetch_add(n_bytes, Ordering::Relaxed);
    }

    /// Counts bytes of blobs that were sent.
    pub(super) fn count_downloaded(&self, n_bytes: u64) {
        self.downloaded_bytes.fetch_add(n_bytes, Ordering::Relaxed);
    }

    /// Counts a blob that a repository was given from another one.
    pub(super) fn count_mount(&self) {
        self.mounts.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts uploads that were thrown away because nobody went on with them.
    pub(super) fn count_expired(&self, n: u64) {
        self.expired.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts a request without a user, or with a wrong password.
    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what garbage collection took away.
    pub(super) fn count_garbage(&self, collected: &Collected) {
        self.collected_blobs.fetch_add(collected.blobs as u64, Ordering::Relaxed);
        self.collected_bytes.fetch_add(collected.bytes, Ordering::Relaxed);
    }

    /// Counts a request as being answered while the returned value lives.
    pub(super) fn begin_request(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Counts an answered request. Methods of the client's invention count as one.
    pub(super) fn count_request(&self, method: &Method, status: StatusCode, took: Duration) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let method = known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other");
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method, status.as_u16())).or_default() += 1;
        drop(requests);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(method).or_default().count(took.as_secs_f64());
    }

    /// Writes all metrics.
    pub(super) fn render(&self, n_uploads: usize) -> String {
        let mut out = String::new();
        let counters = [
            ("uploaded_bytes_total", "Bytes of blobs received.", &self.uploaded_bytes),
            ("downloaded_bytes_total", "Bytes of blobs sent.", &self.downloaded_bytes),
            ("mounts_total", "Blobs given to a repository from another one.", &self.mounts),
            (
                "expired_uploads_total",
                "Uploads thrown away because nobody went on with them.",
                &self.expired,
            ),
            (
                "refused_logins_total",
                "Requests without a user, or with a wrong password.",
                &self.refused,
            ),
            (
                "collected_blobs_total",
                "Blobs that garbage collection took away.",
                &self.collected_blobs,
            ),
            (
                "collected_bytes_total",
                "Bytes that garbage collection took away.",
                &self.collected_bytes,
            ),
        ];
        for (name, help, counter) in counters {
            write_head(&mut out, name, help, "counter");
            let _ = writeln!(out, "kit_rs_registry_{name} {}", counter.load(Ordering::Relaxed));
        }
        let gauges = [
            ("uploads", "Uploads under way.", n_uploads as u64),
            (
                "requests_in_flight",
                "Requests being answered.",
                self.in_flight.load(Ordering::Relaxed),
            ),
        ];
        for (name, help, value) in gauges {
            write_head(&mut out, name, help, "gauge");
            let _ = writeln!(out, "kit_rs_registry_{name} {value}");
        }
        write_head(&mut out, "requests_total", "Requests answered.", "counter");
        for ((method, status), n) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let _ = writeln!(
                out,
                "kit_rs_registry_requests_total{{method=\"{method}\",status=\"{status}\"}} {n}"
            );
        }
        write_head(&mut out, "answer_seconds", "Time until an answer began.", "histogram");
        for (method, times) in &*self.times.lock().unwrap_or_else(PoisonError::into_inner) {
            times.render(method, &mut out);
        }
        out
    }
}

impl Times {
    fn count(&mut self, seconds: f64) {
        self.n += 1;
        self.sum += seconds;
        for (bound, n) in BOUNDS.iter().zip(&mut self.within) {
            *n += u64::from(seconds <= *bound);
        }
    }

    fn render(&self, method: &str, out: &mut String) {
        let name = "kit_rs_registry_answer_seconds";
        for (bound, n) in BOUNDS.iter().zip(&self.within) {
            let _ = writeln!(out, "{name}_bucket{{method=\"{method}\",le=\"{bound}\"}} {n}");
        }
        let _ = writeln!(out, "{name}_bucket{{method=\"{method}\",le=\"+Inf\"}} {}", self.n);
        let _ = writeln!(out, "{name}_sum{{method=\"{method}\"}} {}", self.sum);
        let _ = writeln!(out, "{name}_count{{method=\"{method}\"}} {}", self.n);
    }
}

fn write_head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ =
        writeln!(out, "# HELP kit_rs_registry_{name} {help}\n# TYPE kit_rs_registry_{name} {kind}");
}
