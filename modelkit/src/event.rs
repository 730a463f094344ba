//! What packing and unpacking report while they run, and the threads they run on.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use kitfile::{ContextPath, Section};
use registry::content::{Descriptor, Digest};

use crate::error::{Error, Result};

/// Bytes after which progress is reported again.
const STEP: u64 = 1 << 20;

/// What happens while a ModelKit is packed or unpacked; layers run side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A layer was begun.
    LayerStarted {
        /// Its number, from 0; what is said of it later has the same.
        layer: usize,
        /// Its section of the Kitfile.
        section: Section,
        /// Its path in the context.
        path: ContextPath,
        /// How many bytes there are to do.
        bytes: u64,
    },
    /// A part of a layer is done.
    Progress {
        /// The layer's number.
        layer: usize,
        /// How many of its bytes are done so far.
        bytes: u64,
    },
    /// A layer is done.
    LayerDone {
        /// The layer's number.
        layer: usize,
        /// The digest of its blob.
        digest: Digest,
        /// The size of its blob in bytes.
        size: u64,
    },
}

/// So many layers are worked on at once, however many cores there are: each has buffers of its own.
const MAX_AT_ONCE: usize = 8;
/// So many threads work on one layer.
const MAX_THREADS: usize = 4;

/// Whoever listens, on the thread that asked for the work; `Break` stops it, and nothing half-done
/// stays behind.
pub type Listener<'a> = &'a dyn Fn(Event) -> ControlFlow<()>;

/// A worker's line to the listener.
pub(crate) struct Reporter<'a> {
    layer: usize,
    /// How many threads the layer may be worked on with.
    pub(crate) n_threads: usize,
    events: Sender<Event>,
    stop: &'a AtomicBool,
    bytes: AtomicU64,
}

impl Reporter<'_> {
    pub(crate) fn started(&self, section: Section, path: &ContextPath, bytes: u64) {
        self.send(Event::LayerStarted { layer: self.layer, section, path: path.clone(), bytes });
    }

    /// Counts bytes, from any thread; breaks when the listener has had enough.
    pub(crate) fn progress(&self, bytes: u64) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / STEP != (before + bytes) / STEP {
            self.send(Event::Progress { layer: self.layer, bytes: before + bytes });
        }
        ControlFlow::Continue(())
    }

    pub(crate) fn done(&self, descriptor: &Descriptor) {
        self.send(Event::LayerDone {
            layer: self.layer,
            digest: descriptor.digest().clone(),
            size: descriptor.size(),
        });
    }

    fn send(&self, event: Event) {
        // Nobody listens any more when the work was stopped.
        let _ = self.events.send(event);
    }
}

/// Works on layers of these sizes side by side, the largest first, and returns what came of them in
/// their order. The listener hears of it on the calling thread. After the first failure the others
/// are stopped.
pub(crate) fn side_by_side<T: Send>(
    sizes: &[u64],
    on: Listener<'_>,
    work: impl Fn(usize, &Reporter<'_>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let n_cores = thread::available_parallelism().map_or(1, NonZero::get);
    let n_workers = n_cores.min(sizes.len()).clamp(1, MAX_AT_ONCE);
    let n_threads = (n_cores / n_workers).clamp(1, MAX_THREADS);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sizes[*index]));
    let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<Result<T>>>> = sizes.iter().map(|_| Mutex::new(None)).collect();
    let (events, heard) = channel();
    let worker = |events: Sender<Event>| {
        while let Some(&layer) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let events = events.clone();
            let result = work(
                layer,
                &Reporter { layer, n_threads, events, stop: &stop, bytes: AtomicU64::new(0) },
            );
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            *results[layer].lock().expect("no worker panics while it holds this") = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..n_workers {
            let events = events.clone();
            scope.spawn(|| worker(events));
        }
        drop(events);
        for event in heard {
            if on(event).is_break() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let results = results
        .into_iter()
        .map(|result| result.into_inner().expect("no worker panics while it holds this"));
    collect(results)
}

/// All results, or the failure that stopped the others.
fn collect<T>(results: impl Iterator<Item = Option<Result<T>>>) -> Result<Vec<T>> {
    let mut done = Vec::new();
    let mut failure = None;
    for result in results {
        match result.unwrap_or(Err(Error::Cancelled)) {
            Ok(value) => done.push(value),
            Err(error) if matches!(failure, None | Some(Error::Cancelled)) => failure = Some(error),
            Err(_) => {}
        }
    }
    failure.map_or(Ok(done), Err)
}
