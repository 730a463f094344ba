//! What can go wrong.

use crate::predictor::BoxError;

/// What this crate could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model does not answer as a classifier must.
    #[error("cannot serve the model: its first forward pass failed")]
    Verify {
        /// What the forward pass, or the check of its answer, said.
        #[source]
        source: BoxError,
    },
    /// The server is going away.
    #[error("cannot change the model: the server has stopped")]
    Stopped,
    /// The model folder is not one that can be served.
    #[cfg(feature = "engine")]
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The model is a base checkpoint.
    #[cfg(feature = "engine")]
    #[error("the checkpoint in {} has no classifier yet: train it first", dir.display())]
    NoClassifier {
        /// The model folder.
        dir: std::path::PathBuf,
    },
    /// The model cannot tell labels apart that it was not trained on.
    #[cfg(feature = "engine")]
    #[error("the model in {} cannot tell labels of one's own apart: {problem}", dir.display())]
    ZeroShot {
        /// The model folder.
        dir: std::path::PathBuf,
        /// Why not.
        problem: String,
    },
    /// The compute threads did not start.
    #[cfg(feature = "engine")]
    #[error("cannot start {n_threads} compute threads")]
    Threads {
        /// How many were asked for.
        n_threads: usize,
        /// What the system said.
        #[source]
        source: BoxError,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
