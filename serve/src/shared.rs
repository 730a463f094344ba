//! What the classification, the routes, the handle and the accept loop share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use crate::budget::Budget;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::observer::Observer;
use crate::options::ServeOptions;
use crate::queue::Queue;
use crate::traffic::Traffic;

/// One server.
pub(crate) struct Shared {
    /// The models that answer.
    pub(crate) traffic: ArcSwap<Traffic>,
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
    /// The time for answers is over: what has none yet is told so.
    pub(crate) over: watch::Sender<bool>,
    /// Turns for tokenising long texts.
    pub(crate) preparing: Semaphore,
    /// Bytes of bodies.
    pub(crate) bodies: Budget,
    pub(crate) observer: OnceLock<Observer>,
}

impl Shared {
    pub(crate) fn new(model: Arc<Model>, options: ServeOptions) -> Self {
        let options = options.bounded();
        Self {
            traffic: ArcSwap::from_pointee(Traffic::only(model)),
            queue: Arc::new(Queue::new(&options)),
            metrics: Arc::new(Metrics::new()),
            lifecycle: watch::Sender::new(Lifecycle::Starting),
            in_flight: watch::Sender::new(0),
            started: Instant::now(),
            last_asked: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            over: watch::Sender::new(false),
            preparing: Semaphore::new(options.max_preparing),
            bodies: Budget::new(options.max_buffered_bytes),
            observer: OnceLock::new(),
            options,
        }
    }

    /// The model that answers whatever no other does.
    pub(crate) fn stable(&self) -> Arc<Model> {
        Arc::clone(&self.traffic.load().stable)
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
    pub(crate) fn idle_for(&self) -> Duration {
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
