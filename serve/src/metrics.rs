//! What the server counts, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::classify::Classified;
use crate::queue::Reason;
use crate::routes::Role;

const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

const SCORES: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const DELTAS: &[f64] = &[1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5];

/// All counters of one server.
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, &'static str, u16), u64>>,
    labels: Mutex<BTreeMap<(String, Role), u64>>,
    shed: Mutex<BTreeMap<Reason, u64>>,
    /// Second opinions by the role that is judged and what came of them.
    opinions: Mutex<BTreeMap<(Role, &'static str), u64>>,
    opinion_deltas: Histogram,
    truncated: Counter,
    tokens: Counter,
    scores: Histogram,
    tokenise_seconds: Histogram,
    pub(crate) late: Counter,
    pub(crate) failed_batches: Counter,
    pub(crate) swaps: Counter,
    pub(crate) refused_swaps: Counter,
    request_seconds: Histogram,
    wait_seconds: Histogram,
    compute_seconds: Histogram,
    batch_texts: Histogram,
    batch_tokens: Histogram,
}

/// What is read at the moment of asking.
pub(crate) struct Gauges {
    pub(crate) queued_texts: usize,
    pub(crate) queued_tokens: usize,
    pub(crate) in_flight: usize,
    pub(crate) ready: bool,
    pub(crate) tokens_per_second: f64,
    pub(crate) served: Vec<Served>,
}

/// A model that is loaded.
pub(crate) struct Served {
    pub(crate) role: Role,
    pub(crate) digest: String,
    pub(crate) reference: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: Mutex::default(),
            labels: Mutex::default(),
            shed: Mutex::default(),
            opinions: Mutex::default(),
            opinion_deltas: Histogram::new(DELTAS),
            truncated: Counter::default(),
            tokens: Counter::default(),
            scores: Histogram::new(SCORES),
            tokenise_seconds: Histogram::new(SECONDS),
            late: Counter::default(),
            failed_batches: Counter::default(),
            swaps: Counter::default(),
            refused_swaps: Counter::default(),
            request_seconds: Histogram::new(SECONDS),
            wait_seconds: Histogram::new(SECONDS),
            compute_seconds: Histogram::new(SECONDS),
            batch_texts: Histogram::new(SIZES),
            batch_tokens: Histogram::new(SIZES),
        }
    }

    /// Counts one answer. `route` is the pattern, not the path, so clients cannot invent new ones.
    pub(crate) fn request(
        &self,
        route: &str,
        method: &'static str,
        status: u16,
        duration: Duration,
    ) {
        *lock(&self.requests).entry((route.to_owned(), method, status)).or_default() += 1;
        if method == "POST" && route != "unmatched" {
            self.request_seconds.observe(duration.as_secs_f64());
        }
    }

    /// Counts what one request got to know.
    pub(crate) fn classified(&self, classified: &Classified, role: Role) {
        let work = &classified.work;
        self.truncated.add(work.n_truncated as u64);
        self.tokens.add(work.n_tokens as u64);
        self.tokenise_seconds.observe(work.tokenised.as_secs_f64());
        let mut labels = lock(&self.labels);
        for (label, best) in classified.best() {
            self.scores.observe(f64::from(best.score));
            *labels.entry((label.to_owned(), role)).or_default() += 1;
        }
    }

    /// Counts a request that was not taken in.
    pub(crate) fn shed(&self, reason: Reason) {
        *lock(&self.shed).entry(reason).or_default() += 1;
    }

    /// Counts a second opinion; `judged` is the role that is on trial, `delta` the distance of both
    /// best scores.
    pub(crate) fn opinion(&self, judged: Role, agrees: bool, delta: f32) {
        *lock(&self.opinions)
            .entry((judged, if agrees { "agrees" } else { "disagrees" }))
            .or_default() += 1;
        self.opinion_deltas.observe(f64::from(delta));
    }

    /// Counts a second opinion that there was no time for, or that failed.
    pub(crate) fn opinion_dropped(&self, judged: Role) {
        *lock(&self.opinions).entry((judged, "dropped")).or_default() += 1;
    }

    /// Counts one computed batch.
    pub(crate) fn batch(&self, waits: &[Duration], n_tokens: usize, computed: Duration) {
        waits.iter().for_each(|wait| self.wait_seconds.observe(wait.as_secs_f64()));
        self.compute_seconds.observe(computed.as_secs_f64());
        self.batch_texts.observe(waits.len() as f64);
        self.batch_tokens.observe(n_tokens as f64);
    }

    /// Writes everything down.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut page = Page(String::with_capacity(8192));
        self.render_requests(&mut page);
        self.render_compute(&mut page);
        gauges.render(&mut page);
        page.0
    }

    fn render_requests(&self, page: &mut Page) {
        page.head("requests_total", "counter", "Answers given.");
        for ((route, method, status), count) in lock(&self.requests).iter() {
            let labels = [("method", *method), ("route", route), ("status", &status.to_string())];
            page.line("requests_total", &labels, *count as f64);
        }
        page.head("labels_total", "counter", "Texts by the label that was answered.");
        for ((label, role), count) in lock(&self.labels).iter() {
            page.line("labels_total", &[("label", label), ("role", role.name())], *count as f64);
        }
        page.histogram("scores", "The scores of the labels that were answered.", &self.scores);
        page.head(
            "second_opinions_total",
            "counter",
            "Answers that another model was asked about, too.",
        );
        for ((judged, result), count) in lock(&self.opinions).iter() {
            page.line(
                "second_opinions_total",
                &[("of", judged.name()), ("result", result)],
                *count as f64,
            );
        }
        page.histogram(
            "second_opinion_deltas",
            "How far the best scores of both were apart.",
            &self.opinion_deltas,
        );
        page.head("swaps_total", "counter", "Models given to replace the served one.");
        page.line("swaps_total", &[("result", "done")], self.swaps.value());
        page.line("swaps_total", &[("result", "refused")], self.refused_swaps.value());
        page.single(
            "tokens_total",
            "counter",
            "Tokens of the texts that were answered.",
            self.tokens.value(),
        );
        page.single(
            "truncated_total",
            "counter",
            "Texts whose end was cut off.",
            self.truncated.value(),
        );
        page.head("shed_total", "counter", "Requests refused with 429, by the limit that was met.");
        for reason in [Reason::Tokens, Reason::Wait] {
            let count = lock(&self.shed).get(&reason).copied().unwrap_or_default();
            page.line("shed_total", &[("reason", reason.name())], count as f64);
        }
        page.single(
            "late_total",
            "counter",
            "Requests whose deadline came before their answer.",
            self.late.value(),
        );
        page.histogram(
            "request_seconds",
            "From a request's head to its answer, of POST requests.",
            &self.request_seconds,
        );
        page.histogram("tokenise_seconds", "How long tokenising took.", &self.tokenise_seconds);
    }

    fn render_compute(&self, page: &mut Page) {
        page.single(
            "failed_batches_total",
            "counter",
            "Batches that the model failed on.",
            self.failed_batches.value(),
        );
        page.histogram(
            "queue_wait_seconds",
            "How long texts waited for the compute thread.",
            &self.wait_seconds,
        );
        page.histogram("compute_seconds", "How long batches took.", &self.compute_seconds);
        page.histogram("batch_texts", "Texts per batch.", &self.batch_texts);
        page.histogram("batch_tokens", "Tokens per batch.", &self.batch_tokens);
    }
}

impl Gauges {
    fn render(&self, page: &mut Page) {
        page.head("queue_depth", "gauge", "What waits for the compute thread.");
        page.line("queue_depth", &[("unit", "texts")], self.queued_texts as f64);
        page.line("queue_depth", &[("unit", "tokens")], self.queued_tokens as f64);
        page.single(
            "in_flight",
            "gauge",
            "Predict requests that are being answered.",
            self.in_flight as f64,
        );
        page.single("ready", "gauge", "1 while /readyz says yes.", f64::from(u8::from(self.ready)));
        page.single(
            "tokens_per_second",
            "gauge",
            "Speed of the compute thread, lately.",
            self.tokens_per_second,
        );
        page.head("model_info", "gauge", "The loaded models.");
        for Served { role, digest, reference } in &self.served {
            page.line(
                "model_info",
                &[("digest", digest), ("reference", reference), ("role", role.name())],
                1.0,
            );
        }
    }
}

fn lock<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only goes up.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn value(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64
    }
}

/// Observations counted by upper bounds.
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// One per bound and one for what is above them all.
    counts: Vec<AtomicU64>,
    /// In millionths.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, value: f64) {
        let place =
            self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }
}

/// The text format: `# HELP`, `# TYPE`, then one line per series.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail; the same below.
        let _ = write!(
            self.0,
            "# HELP kit_rs_serve_{name} {help}\n# TYPE kit_rs_serve_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "kit_rs_serve_{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut total = 0;
        let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&histogram.counts) {
            total += count.load(Ordering::Relaxed);
            self.line(&format!("{name}_bucket"), &[("le", &bound)], total as f64);
        }
        self.line(&format!("{name}_sum"), &[], histogram.sum.load(Ordering::Relaxed) as f64 / 1e6);
        self.line(&format!("{name}_count"), &[], total as f64);
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative() {
        let metrics = Metrics::new();
        metrics.batch(
            &[Duration::from_millis(2), Duration::from_millis(700)],
            30,
            Duration::from_millis(10),
        );
        let mut page = Page(String::new());
        page.histogram("queue_wait_seconds", "x", &metrics.wait_seconds);
        for line in [
            "bucket{le=\"0.001\"} 0",
            "bucket{le=\"0.0025\"} 1",
            "bucket{le=\"1\"} 2",
            "bucket{le=\"+Inf\"} 2",
            "sum 0.702",
            "count 2",
        ] {
            assert!(
                page.0.contains(&format!("kit_rs_serve_queue_wait_seconds_{line}\n")),
                "{line} is not in\n{}",
                page.0
            );
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let mut page = Page(String::new());
        page.line("labels_total", &[("label", "a\"b\\c\nd")], 1.0);
        assert_eq!(page.0, "kit_rs_serve_labels_total{label=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
