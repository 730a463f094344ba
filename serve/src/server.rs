//! A router, a handle and one compute thread around a predictor.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::sync::{Semaphore, watch};

use crate::budget::Budget;
use crate::compute;
use crate::error::Error;
use crate::handle::{Handle, Lifecycle, judge};
use crate::http;
use crate::http::stamp::RequestIds;
use crate::metrics::Metrics;
use crate::model::{Model, ModelIdentity};
use crate::options::ServeOptions;
use crate::predictor::{NotYet, Predictor};
use crate::queue::{Queue, Trial};
use crate::record::Observer;
use crate::routes::Routes;

/// Serves a predictor: the routes as a value, and a handle to steer them. Give both to
/// [`run`](crate::run), or the router to a program of yours.
///
/// The server is ready once the predictor's first forward pass is right ([`Handle::started`]).
/// Its compute thread ends when the last clone of router and handle is gone.
pub fn server(
    predictor: impl Predictor,
    identity: ModelIdentity,
    options: ServeOptions,
) -> (Router, Handle) {
    let model = Model::new(predictor, identity);
    let shared = Arc::new(Shared::new(Arc::clone(&model), options));
    start(&shared, model);
    (http::router(&shared), Handle { shared })
}

/// Serves before there is a model: `/livez` says yes and `/startupz` no, until [`Handle::swap`]
/// brings one.
pub fn server_without_model(options: ServeOptions) -> (Router, Handle) {
    let shared = Arc::new(Shared::new(Model::new(NotYet, ModelIdentity::default()), options));
    start_thread(&shared);
    (http::router(&shared), Handle { shared })
}

/// What the routes, the handle and the accept loop share.
pub(crate) struct Shared {
    pub(crate) routes: ArcSwap<Routes>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) options: ServeOptions,
    pub(crate) lifecycle: watch::Sender<Lifecycle>,
    /// Predict requests that are being answered.
    pub(crate) in_flight: watch::Sender<usize>,
    started: Instant,
    /// When the last predict request began or ended, in milliseconds after the start.
    last_asked: AtomicU64,
    /// Each connection ends with its next answer.
    pub(crate) closing: AtomicBool,
    /// Turns for tokenising long texts.
    pub(crate) preparing: Semaphore,
    /// Bytes of bodies.
    pub(crate) bodies: Budget,
    pub(crate) request_ids: RequestIds,
    pub(crate) observer: OnceLock<Observer>,
}

impl Shared {
    fn new(model: Arc<Model>, options: ServeOptions) -> Self {
        Self {
            routes: ArcSwap::from_pointee(Routes::only(model)),
            queue: Arc::new(Queue::new(&options)),
            metrics: Arc::new(Metrics::new()),
            lifecycle: watch::Sender::new(Lifecycle::Starting),
            in_flight: watch::Sender::new(0),
            started: Instant::now(),
            last_asked: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            preparing: Semaphore::new(options.max_preparing.max(1)),
            bodies: Budget::new(options.max_buffered_bytes),
            request_ids: RequestIds::new(),
            observer: OnceLock::new(),
            options,
        }
    }

    /// The model that answers whatever no other does.
    pub(crate) fn stable(&self) -> Arc<Model> {
        Arc::clone(&self.routes.load().stable)
    }

    /// Counts a predict request for as long as the guard lives.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.note_time();
        self.in_flight.send_modify(|n_requests| *n_requests += 1);
        InFlight(Arc::clone(self))
    }

    fn note_time(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_asked.store(millis, Ordering::Relaxed);
    }

    /// How long ago the last predict request began or ended.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.started
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last_asked.load(Ordering::Relaxed)))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// One predict request that is being answered.
pub(crate) struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.note_time();
        self.0.in_flight.send_modify(|n_requests| *n_requests -= 1);
    }
}

/// Starts the compute thread; its first work is to try the model.
fn start(shared: &Shared, model: Arc<Model>) {
    let lifecycle = shared.lifecycle.clone();
    let judged = move |verdict| {
        lifecycle.send_if_modified(|now| judge(now, &verdict));
    };
    shared.queue.push_trial(Trial { model, verdict: Box::new(judged) });
    start_thread(shared);
}

fn start_thread(shared: &Shared) {
    let (queue, metrics) = (Arc::clone(&shared.queue), Arc::clone(&shared.metrics));
    let work = move || compute::work(&queue, &metrics);
    if let Err(error) = thread::Builder::new().name("compute".to_owned()).spawn(work) {
        let verdict = Err(Error::Verify { source: error.into() });
        shared.lifecycle.send_if_modified(|now| judge(now, &verdict));
        shared.queue.close();
    }
}
