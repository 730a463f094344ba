//! A router, a handle and one compute thread around a predictor.

use std::sync::Arc;
use std::thread;

use axum::Router;

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::model::{Model, ModelIdentity};
use crate::options::ServeOptions;
use crate::predictor::{NoModel, Predictor};
use crate::queue::SelfTest;
use crate::shared::Shared;
use crate::{compute, http};

/// Serves a predictor: the routes as a value, and a handle to steer them. Give both to
/// [`run`](crate::run), or the router to a program of yours.
///
/// The server is ready once the predictor's first forward pass is right ([`Handle::started`]).
/// Its compute thread ends when the last clone of router and handle is gone.
pub fn server(
    predictor: impl Predictor,
    identity: ModelIdentity,
    options: ServeOptions,
) -> (Router, Handle) {
    let model = Model::new(predictor, identity);
    let shared = Arc::new(Shared::new(Arc::clone(&model), options));
    let lifecycle = shared.lifecycle.clone();
    let verdict = move |verdict: Result<()>| {
        lifecycle.send_if_modified(|now| match &verdict {
            Ok(()) => now.succeed(),
            Err(error) => now.fail(error),
        });
    };
    shared.queue.push_self_test(SelfTest { model, verdict: Box::new(verdict) });
    start_compute_thread(&shared);
    (http::router(&shared), Handle { shared })
}

/// Serves before there is a model: `/livez` says yes and `/startupz` no, until [`Handle::swap`]
/// brings one.
pub fn server_without_model(options: ServeOptions) -> (Router, Handle) {
    let shared = Arc::new(Shared::new(Model::new(NoModel, ModelIdentity::default()), options));
    start_compute_thread(&shared);
    (http::router(&shared), Handle { shared })
}

fn start_compute_thread(shared: &Shared) {
    let (queue, metrics) = (Arc::clone(&shared.queue), Arc::clone(&shared.metrics));
    let run = move || compute::run(&queue, &metrics);
    if let Err(error) = thread::Builder::new().name("compute".to_owned()).spawn(run) {
        let error = Error::Verify { source: error.into() };
        shared.lifecycle.send_if_modified(|now| now.fail(&error));
        shared.queue.close();
    }
}
