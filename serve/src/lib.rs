#![doc = include_str!("../README.md")]

mod budget;
mod classify;
mod compute;
#[cfg(feature = "engine")]
pub mod engine;
mod error;
mod handle;
mod http;
mod lifecycle;
mod metrics;
mod model;
mod observer;
mod options;
mod predictor;
mod queue;
mod run;
mod scores;
mod server;
mod shared;
#[cfg(test)]
mod testing;
mod throughput;
mod traffic;

pub use error::{Error, Result};
pub use handle::Handle;
pub use lifecycle::Lifecycle;
pub use model::ModelIdentity;
pub use observer::{Exchange, Trace, Usage};
pub use options::ServeOptions;
pub use predictor::{BoxError, Predictor, Prepared, Task};
pub use run::run;
pub use server::{server, server_without_model};
