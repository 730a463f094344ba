//! What is told while content moves.

use crate::{Descriptor, Digest, Reference};

/// Whoever listens while content moves, from any thread; `&|_| ()` hears nothing.
///
/// The work is stopped by dropping its future; what has come of it stays for the next attempt.
pub type Listener<'a> = &'a (dyn Fn(Event) + Sync);

/// What happens while content moves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A reference was resolved; from here on only the digest is used.
    Resolved {
        /// What was asked for.
        reference: Reference,
        /// What it stands for.
        descriptor: Descriptor,
    },
    /// A blob begins to move.
    BlobStarted {
        /// The blob.
        descriptor: Descriptor,
        /// Where it moves.
        direction: Direction,
    },
    /// A blob has moved on.
    BlobProgress {
        /// The blob.
        digest: Digest,
        /// The bytes that have moved so far.
        bytes: u64,
    },
    /// A file of a hub has moved on.
    FileProgress {
        /// Its path in the repository.
        path: String,
        /// The bytes that are there so far.
        bytes: u64,
    },
    /// A blob is where it should be.
    BlobDone {
        /// The blob.
        digest: Digest,
        /// How it came there.
        outcome: Outcome,
    },
    /// A manifest is where it should be, and everything that it names.
    ManifestDone {
        /// The manifest.
        descriptor: Descriptor,
    },
    /// Something that a person should see and that stops nothing; the words may be the registry's.
    Warning(String),
}

/// Where a blob moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the registry.
    Upload,
    /// From the registry.
    Download,
}

/// How a blob came where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its bytes moved.
    Transferred,
    /// It was there.
    Existing,
    /// The registry took it from another of its repositories.
    Mounted,
}
