//! What can be wrong with content.

use super::bytes;
use crate::content::Digest;

/// Content that is not what its name, its descriptor or its media type says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A text is not a digest that content can be stored under.
    #[error("`{text}` is not a digest: {reason}")]
    InvalidDigest {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A document is not the JSON that its media type promises.
    #[error("cannot read {what}")]
    InvalidDocument {
        /// The document: its digest, or its path.
        what: String,
        /// Where the JSON goes wrong.
        #[source]
        source: serde_json::Error,
    },

    /// A document could be taken for two kinds of manifest (CVE-2021-41190).
    #[error("{what} is ambiguous: {reason}")]
    AmbiguousManifest {
        /// The manifest: its digest.
        what: String,
        /// The two readings.
        reason: String,
    },

    /// A manifest has a media type that is no manifest's.
    #[error("`{media_type}` is not the media type of a manifest")]
    NotAManifest {
        /// The media type as given.
        media_type: String,
    },

    /// A document is larger than any document may be.
    #[error("{what} has {}, more than the {limit} that a document may have", bytes(*size))]
    TooLarge {
        /// The document: its digest, or its path.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// Content has another size than its descriptor says.
    #[error("{what} should have {} and has {found}", bytes(*expected))]
    WrongSize {
        /// The blob, and its path where it has one.
        what: String,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The content's size in bytes.
        found: u64,
    },

    /// Content has another digest than its descriptor says.
    #[error("{what} should be {expected} and is {found}")]
    WrongDigest {
        /// The blob's path, or what it was to become.
        what: String,
        /// The descriptor's digest.
        expected: Digest,
        /// The content's digest.
        found: Digest,
    },
}
