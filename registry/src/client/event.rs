use crate::{Descriptor, Digest, Reference};

/// What happens during a push or a pull.
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
    /// A blob is where it should be.
    BlobDone {
        /// The blob.
        digest: Digest,
        /// How it came there.
        how: How,
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
pub enum How {
    /// Its bytes moved.
    Transferred,
    /// It was there.
    Existing,
    /// The registry took it from another of its repositories.
    Mounted,
}
