//! How far a blob is, for all the connections that bring it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Memory;
use super::part_queue::PartQueue;

/// What the connections of one blob share.
pub(super) struct Progress {
    queue: Mutex<PartQueue>,
    /// Bytes that were here before.
    pub(super) present: u64,
    pub(super) received: AtomicU64,
    pub(super) n_streams: AtomicUsize,
    /// Whether the server sends only the whole.
    pub(super) is_whole: AtomicBool,
    pub(super) had_ranges: AtomicBool,
    /// Whether the server wants no further connections.
    pub(super) is_limited: AtomicBool,
    pub(super) memory: Memory,
}

impl Progress {
    pub(super) fn new(missing: &[Range<u64>], size: u64) -> Self {
        Self {
            queue: Mutex::new(PartQueue::new(missing)),
            present: size - missing.iter().map(|it| it.end - it.start).sum::<u64>(),
            received: AtomicU64::new(0),
            n_streams: AtomicUsize::new(0),
            is_whole: AtomicBool::new(false),
            had_ranges: AtomicBool::new(false),
            is_limited: AtomicBool::new(false),
            memory: Memory::new(),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, PartQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Relaxed)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// Says whether several connections are at it.
    pub(super) fn is_shared(&self) -> bool {
        self.n_streams.load(Ordering::Relaxed) > 1
    }

    /// Finds something to do: a part that waits, or half of another one's.
    pub(super) fn next(&self) -> Option<usize> {
        let mut queue = self.queue();
        match self.is_whole() {
            // The one connection that goes on takes the parts as they come.
            true if self.n_streams.load(Ordering::Relaxed) > 1 => None,
            true => queue.take(),
            false => queue.take().or_else(|| queue.steal()),
        }
    }

    /// Lets a connection go on with the next part, if it has the blob for itself.
    pub(super) fn extend(&self, taker: usize) -> bool {
        (self.n_streams.load(Ordering::Relaxed) <= 1 || self.is_whole())
            && self.queue().extend(taker)
    }
}
