//! How much may come out of layers, all of them together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use registry::content::Descriptor;

use crate::error::Refused;

/// A folder takes a block of the disk, whose size in bytes is this on most.
const BLOCK: u64 = 4096;

/// How much may come out of an archive, or of all the layers that are unpacked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that may come out of all layers, as a multiple of the size of their blobs, of which
    /// each counts once however many layers it is named as …
    pub max_ratio: u64,
    /// … where they are more than this many bytes; so many may always come out.
    pub free_bytes: u64,
    /// Files and folders that may be made.
    pub max_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_ratio: 200, free_bytes: 256 << 20, max_entries: 10_000_000 }
    }
}

/// What is left of the limits, for all threads that unpack.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: Share,
    entries: Share,
    /// What the disk has room for, where things are written.
    room: Share,
}

/// One of the limits.
#[derive(Debug)]
struct Share {
    what: &'static str,
    limit: u64,
    left: AtomicU64,
}

impl Budget {
    /// For these blobs, of which what they hold is only looked at.
    pub(crate) fn of<'a>(limits: &Limits, blobs: impl IntoIterator<Item = &'a Descriptor>) -> Self {
        let mut seen = HashSet::new();
        let stored = blobs.into_iter().filter(|blob| seen.insert(blob.digest()));
        let stored = stored.map(Descriptor::size).fold(0, u64::saturating_add);
        let bytes = stored.saturating_mul(limits.max_ratio).max(limits.free_bytes);
        Self {
            bytes: Share::new("the size of all layers together, in bytes,", bytes),
            ..Self::of_entries(limits.max_entries)
        }
    }

    /// For a stream whose size somebody else has an eye on.
    pub(crate) fn of_entries(max_entries: u64) -> Self {
        Self {
            bytes: Share::new("", u64::MAX),
            entries: Share::new("the number of entries", max_entries),
            room: Share::new("", u64::MAX),
        }
    }

    /// For a disk that has room for so many bytes.
    pub(crate) fn with_room(self, bytes: u64) -> Self {
        Self { room: Share::new("the room on the disk, in bytes,", bytes), ..self }
    }

    /// Counts bytes that came out of a blob.
    pub(crate) fn take_bytes(&self, n: u64) -> Result<(), Refused> {
        self.bytes.take(n)?;
        self.room.take(n)
    }

    /// Counts a file.
    pub(super) fn take_entry(&self) -> Result<(), Refused> {
        self.entries.take(1)
    }

    /// Counts folders that were made: an archive needs a few bytes for each of them, the disk more.
    pub(super) fn take_folders(&self, n: u64) -> Result<(), Refused> {
        self.entries.take(n)?;
        self.take_bytes(n.saturating_mul(BLOCK))
    }
}

impl Share {
    fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, left: AtomicU64::new(limit) }
    }

    fn take(&self, n: u64) -> Result<(), Refused> {
        let take = |left: u64| left.checked_sub(n);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refused::Limit { what: self.what, limit: self.limit }),
        }
    }
}
