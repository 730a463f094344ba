//! What the server counts, in Prometheus' text format.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::observer::{Exchange, Usage};
use crate::queue::ShedReason;
use crate::traffic::Role;

/// What the names of all metrics begin with.
const PREFIX: &str = "kit_rs_serve";

/// What the page is.
pub(crate) use prometheus_text::CONTENT_TYPE;

const SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: [f64; 13] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];
const SCORES: [f64; 11] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const DELTAS: [f64; 9] = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5];

/// All counters of one server.
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    labels: Family<LabelLabels, Counter>,
    scores: Histogram,
    second_opinions: Family<OpinionLabels, Counter>,
    second_opinion_deltas: Histogram,
    pub(crate) swaps: Counter,
    pub(crate) refused_swaps: Counter,
    tokens: Counter,
    truncated: Counter,
    shed: Family<OneLabel, Counter>,
    pub(crate) late: Counter,
    request_seconds: Histogram,
    tokenise_seconds: Histogram,
    pub(crate) failed_batches: Counter,
    queue_wait_seconds: Histogram,
    compute_seconds: Histogram,
    batch_texts: Histogram,
    batch_tokens: Histogram,
    /// All of the above, with their names.
    registry: Registry,
}

type OneLabel = [(&'static str, &'static str); 1];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LabelLabels {
    label: String,
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OpinionLabels {
    of: &'static str,
    result: &'static str,
}

/// What came of asking another model the same.
pub(crate) enum SecondOpinion {
    /// The two best scores are so far apart.
    Given { agrees: bool, delta: f32 },
    /// There was no time for it, or it failed.
    Dropped,
}

/// What is read at the moment of asking.
pub(crate) struct Gauges {
    pub(crate) queued_texts: usize,
    pub(crate) queued_tokens: usize,
    pub(crate) in_flight: usize,
    pub(crate) ready: bool,
    pub(crate) tokens_per_second: f64,
    pub(crate) models: Vec<LoadedModel>,
}

/// A model that is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LoadedModel {
    pub(crate) digest: String,
    pub(crate) reference: String,
    pub(crate) role: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut new = Registration(Registry::with_prefix(PREFIX));
        let shed: Family<OneLabel, _> =
            new.family("shed", "Requests refused with 429, by the limit that was met");
        // Shown before the first one is counted; the same below.
        for reason in [ShedReason::Tokens, ShedReason::Wait] {
            drop(shed.get_or_create(&[("reason", reason.name())]));
        }
        let swaps: Family<OneLabel, _> =
            new.family("swaps", "Models given to replace the served one");
        Self {
            requests: new.family("requests", "Answers given"),
            labels: new.family("labels", "Texts by the label that was answered"),
            scores: new.histogram("scores", "Scores of the labels that were answered", SCORES),
            second_opinions: new
                .family("second_opinions", "Answers that another model was asked about, too"),
            second_opinion_deltas: new.histogram(
                "second_opinion_deltas",
                "How far the best scores of both were apart",
                DELTAS,
            ),
            swaps: swaps.get_or_create_owned(&[("result", "done")]),
            refused_swaps: swaps.get_or_create_owned(&[("result", "refused")]),
            tokens: new.counter("tokens", "Tokens of the texts that were answered"),
            truncated: new.counter("truncated", "Texts whose end was cut off"),
            shed,
            late: new.counter("late", "Requests whose deadline came before their answer"),
            request_seconds: new.histogram(
                "request_seconds",
                "From a request's head to its answer, of POST requests",
                SECONDS,
            ),
            tokenise_seconds: new.histogram(
                "tokenise_seconds",
                "How long tokenising took",
                SECONDS,
            ),
            failed_batches: new.counter("failed_batches", "Batches that the model failed on"),
            queue_wait_seconds: new.histogram(
                "queue_wait_seconds",
                "How long texts waited for the compute thread",
                SECONDS,
            ),
            compute_seconds: new.histogram("compute_seconds", "How long batches took", SECONDS),
            batch_texts: new.histogram("batch_texts", "Texts per batch", SIZES),
            batch_tokens: new.histogram("batch_tokens", "Tokens per batch", SIZES),
            registry: new.0,
        }
    }

    /// Counts one answer. Its route is the pattern, not the path, so clients cannot invent new
    /// ones.
    pub(crate) fn request(&self, exchange: &Exchange) {
        let Exchange { method, route, status, duration, .. } = exchange;
        let labels = RequestLabels { method, route: route.clone(), status: *status };
        self.requests.get_or_create(&labels).inc();
        if *method == "POST" && route != "unmatched" {
            self.request_seconds.observe(duration.as_secs_f64());
        }
    }

    /// Counts what one request got to know: the best label of each text and its score.
    pub(crate) fn classified<'a>(
        &self,
        usage: &Usage,
        role: Role,
        best: impl Iterator<Item = (&'a str, f32)>,
    ) {
        self.truncated.inc_by(usage.n_truncated as u64);
        self.tokens.inc_by(usage.n_tokens as u64);
        self.tokenise_seconds.observe(usage.tokenised.as_secs_f64());
        for (label, score) in best {
            self.scores.observe(f64::from(score));
            let labels = LabelLabels { label: label.to_owned(), role: role.name() };
            self.labels.get_or_create(&labels).inc();
        }
    }

    /// Counts a request that was not taken in.
    pub(crate) fn shed(&self, reason: ShedReason) {
        self.shed.get_or_create(&[("reason", reason.name())]).inc();
    }

    /// Counts a second opinion; `judged` is the role that is on trial.
    pub(crate) fn second_opinion(&self, judged: Role, opinion: SecondOpinion) {
        let result = match opinion {
            SecondOpinion::Given { agrees, delta } => {
                self.second_opinion_deltas.observe(f64::from(delta));
                if agrees { "agrees" } else { "disagrees" }
            }
            SecondOpinion::Dropped => "dropped",
        };
        self.second_opinions.get_or_create(&OpinionLabels { of: judged.name(), result }).inc();
    }

    /// Counts one computed batch.
    pub(crate) fn batch(&self, waits: &[Duration], n_tokens: usize, computed: Duration) {
        waits.iter().for_each(|wait| self.queue_wait_seconds.observe(wait.as_secs_f64()));
        self.compute_seconds.observe(computed.as_secs_f64());
        self.batch_texts.observe(waits.len() as f64);
        self.batch_tokens.observe(n_tokens as f64);
    }

    /// Writes everything down.
    pub(crate) fn render(&self, gauges: Gauges) -> String {
        let mut page = String::with_capacity(8192);
        for registry in [&self.registry, &gauges.registry()] {
            prometheus_text::encode(&mut page, registry).expect("a String takes all text");
        }
        page
    }
}

impl Gauges {
    fn registry(self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        let new = &mut registry;
        let depth = Family::<OneLabel, Gauge>::default();
        for (unit, count) in [("texts", self.queued_texts), ("tokens", self.queued_tokens)] {
            depth.get_or_create(&[("unit", unit)]).set(count.try_into().unwrap_or(i64::MAX));
        }
        new.register("queue_depth", "What waits for the compute thread", depth);
        let in_flight = ConstGauge::new(self.in_flight as u64);
        new.register("in_flight", "Predict requests that are being answered", in_flight);
        new.register("ready", "1 while /readyz says yes", ConstGauge::new(u32::from(self.ready)));
        let speed = ConstGauge::new(self.tokens_per_second);
        new.register("tokens_per_second", "Speed of the compute thread, lately", speed);
        let models = Family::<LoadedModel, Gauge>::default();
        for model in &self.models {
            models.get_or_create(model).set(1);
        }
        new.register("model_info", "The loaded models", models);
        registry
    }
}

/// Gives metrics their names. Their clones count together.
struct Registration(Registry);

impl Registration {
    fn counter(&mut self, name: &str, help: &str) -> Counter {
        self.metric(name, help, Counter::default())
    }

    fn family<L: Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<L, Counter> {
        self.metric(name, help, Family::default())
    }

    fn histogram<const N: usize>(&mut self, name: &str, help: &str, bounds: [f64; N]) -> Histogram {
        self.metric(name, help, Histogram::new(bounds))
    }

    fn metric<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(metrics: &Metrics) -> String {
        let models = vec![LoadedModel {
            digest: "1".to_owned(),
            reference: "a\"b\\c\nd".to_owned(),
            role: "stable",
        }];
        metrics.render(Gauges {
            queued_texts: 2,
            queued_tokens: usize::MAX,
            in_flight: 3,
            ready: true,
            tokens_per_second: 0.5,
            models,
        })
    }

    fn assert_shows(page: &str, line: &str) {
        assert!(page.contains(&format!("\nkit_rs_serve_{line}\n")), "{line} is not in\n{page}");
    }

    #[test]
    fn histograms_are_cumulative() {
        let metrics = Metrics::new();
        metrics.batch(
            &[Duration::from_millis(2), Duration::from_millis(700)],
            30,
            Duration::from_millis(10),
        );
        let page = page(&metrics);
        for line in [
            "bucket{le=\"0.001\"} 0",
            "bucket{le=\"0.0025\"} 1",
            "bucket{le=\"1\"} 2",
            "bucket{le=\"+Inf\"} 2",
            "sum 0.702",
            "count 2",
        ] {
            assert_shows(&page, &format!("queue_wait_seconds_{line}"));
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let page = page(&Metrics::new());
        assert_shows(
            &page,
            "model_info{digest=\"1\",reference=\"a\\\"b\\\\c\\nd\",role=\"stable\"} 1",
        );
    }

    #[test]
    fn what_can_be_counted_is_shown_before_it_is() {
        let page = page(&Metrics::new());
        for line in [
            "shed_total{reason=\"tokens\"} 0",
            "shed_total{reason=\"wait\"} 0",
            "swaps_total{result=\"refused\"} 0",
            "late_total 0",
            "tokens_per_second 0.5",
            "queue_depth{unit=\"tokens\"} 9223372036854775807",
            "in_flight 3",
        ] {
            assert_shows(&page, line);
        }
        assert!(page.starts_with("# HELP kit_rs_serve_") && page.ends_with('\n'), "{page}");
    }
}
