//! What can go wrong beside the problems in a Kitfile's text.

use crate::Problems;

/// What can go wrong beside the problems in a Kitfile's own text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path starts at the root of a file system.
    #[error("absolute paths are not supported: {path}")]
    AbsolutePath {
        /// The path as written.
        path: String,
    },
    /// A path climbs out of the context folder.
    #[error("the path leaves the context folder: {path}")]
    PathOutside {
        /// The path as written.
        path: String,
    },
    /// A path that no file system holds.
    #[error("the path holds a NUL character: {path:?}")]
    PathCharacter {
        /// The path as written.
        path: String,
    },
    /// A path that is longer than any file's.
    #[error("the path is too long: {length} bytes")]
    PathLength {
        /// Its length in bytes.
        length: usize,
    },
    /// A config blob is not a Kitfile in JSON.
    #[error("cannot read the Kitfile from its JSON form")]
    FromJson(#[source] serde_json::Error),
    /// The text to edit is not a correct Kitfile.
    #[error("cannot edit a Kitfile that has problems")]
    Edit(#[source] Problems),
    /// The text is a correct Kitfile whose shape the edit cannot keep.
    #[error("cannot edit the Kitfile: {reason}")]
    Shape {
        /// What stands in the way.
        reason: &'static str,
    },
}

/// `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;
