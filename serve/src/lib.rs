//! Text in, predictions out: an HTTP server around any classifier, and the engine that makes it
//! fast. It never knows burn, OCI, or where the model came from.
//!
//! ```rust
#![doc = include_str!("../examples/closure.rs")]
//! ```
//!
//! [`server`] makes a router and a [`Handle`] of a [`Predictor`]; [`run`] serves them until a shutdown, and drains.
//! The routes: `POST /predict` as the tutorial's FastAPI app and as text-embeddings-inference have it, the Open Inference Protocol under `/v2`
//! and KServe's first one under `/v1/models`, `/livez`, `/startupz`, `/readyz`, `/metrics`, `/v1/provenance`, and for people `/ui` and `/docs`.

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
pub use predictor::{BoxError, Predictor, Prepared};
pub use run::run;
pub use server::{server, server_without_model};
