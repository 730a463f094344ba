//! Counters, in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::{Method, StatusCode};

/// What the registry has done since it was made.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    uploaded_bytes: AtomicU64,
    downloaded_bytes: AtomicU64,
    mounts: AtomicU64,
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
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

    /// Counts an answered request. Methods of the client's invention count as one.
    pub(super) fn count_request(&self, method: &Method, status: StatusCode) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let method = known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other");
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method, status.as_u16())).or_default() += 1;
    }

    /// Writes all counters.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        let counters = [
            ("uploaded_bytes_total", "Bytes of blobs received.", &self.uploaded_bytes),
            ("downloaded_bytes_total", "Bytes of blobs sent.", &self.downloaded_bytes),
            ("mounts_total", "Blobs given to a repository from another one.", &self.mounts),
        ];
        for (name, help, counter) in counters {
            write_head(&mut out, name, help);
            let _ = writeln!(out, "kit_rs_registry_{name} {}", counter.load(Ordering::Relaxed));
        }
        write_head(&mut out, "requests_total", "Requests answered.");
        for ((method, status), n) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(out, "kit_rs_registry_requests_total{{method=\"{method}\",status=\"{status}\"}} {n}");
        }
        out
    }
}

fn write_head(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP kit_rs_registry_{name} {help}\n# TYPE kit_rs_registry_{name} counter");
}
