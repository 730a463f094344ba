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
    /// A file of the model folder.
    #[cfg(feature = "engine")]
    #[error("cannot read the model folder")]
    Read {
        /// Says the path and the cause.
        #[from]
        source: std::io::Error,
    },
    /// config.json is not what we can serve.
    #[cfg(feature = "engine")]
    #[error("cannot use {path}")]
    Config {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// tokenizer.json is not what we can use.
    #[cfg(feature = "engine")]
    #[error("cannot use {path}")]
    Tokenizer {
        /// The file.
        path: std::path::PathBuf,
        /// What the tokenizer said.
        #[source]
        source: BoxError,
    },
    /// model.safetensors is not the model that config.json describes.
    #[cfg(feature = "engine")]
    #[error("cannot load the weights of {path}")]
    Weights {
        /// The file.
        path: std::path::PathBuf,
        /// Names every tensor that is missing, unused or misshapen.
        #[source]
        source: BoxError,
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
