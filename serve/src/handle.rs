//! The owner's side of a running server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::lifecycle::Lifecycle;
use crate::model::{Model, ModelIdentity};
use crate::observer::Exchange;
use crate::options::ServeOptions;
use crate::predictor::Predictor;
use crate::queue::SelfTest;
use crate::shared::Shared;
use crate::traffic::{Canary, Traffic};

/// Steers a running server; clones steer the same one.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// Where the server is in its life.
    pub fn lifecycle(&self) -> Lifecycle {
        self.shared.lifecycle.borrow().clone()
    }

    /// Waits for the end of the first forward pass and says where the server is then.
    pub async fn started(&self) -> Lifecycle {
        let mut lifecycle = self.shared.lifecycle.subscribe();
        let started = lifecycle.wait_for(|now| *now != Lifecycle::Starting).await;
        started.map_or(Lifecycle::Draining, |now| now.clone())
    }

    /// Who the served model is.
    pub fn identity(&self) -> ModelIdentity {
        self.shared.stable().identity.clone()
    }

    /// Who the canary is, and its share of the requests; `None` also once it has failed.
    pub fn canary_identity(&self) -> Option<(ModelIdentity, f64)> {
        let traffic = self.shared.traffic.load();
        let canary = traffic.canary.as_ref().filter(|canary| !canary.model.has_failed())?;
        Some((canary.model.identity.clone(), canary.share))
    }

    /// Who the shadow is; `None` also once it has failed.
    pub fn shadow_identity(&self) -> Option<ModelIdentity> {
        let traffic = self.shared.traffic.load();
        traffic
            .shadow
            .as_ref()
            .filter(|shadow| !shadow.has_failed())
            .map(|shadow| shadow.identity.clone())
    }

    /// Is told about each answer from now on, on the thread that gave it. The first observer stays;
    /// says whether this was it.
    pub fn observe(&self, observer: impl Fn(&Exchange) + Send + Sync + 'static) -> bool {
        self.shared.observer.set(Arc::new(observer)).is_ok()
    }

    /// The limits and times of this server.
    pub fn options(&self) -> &ServeOptions {
        &self.shared.options
    }

    /// Replaces the served model once the new one's first forward pass is right; requests that have
    /// begun finish on the old one. A model that fails is refused, and the old one keeps serving.
    pub async fn swap(&self, predictor: impl Predictor, identity: ModelIdentity) -> Result<()> {
        let is_first = self.lifecycle() == Lifecycle::Starting;
        let verdict = self.tested(predictor, identity).await;
        match verdict {
            Ok(model) => {
                self.change(|traffic| traffic.stable = Arc::clone(&model));
                self.shared.metrics.swaps.inc_by(u64::from(!is_first));
                self.shared.lifecycle.send_if_modified(Lifecycle::succeed);
                Ok(())
            }
            Err(error) => {
                self.shared.metrics.refused_swaps.inc();
                self.shared.lifecycle.send_if_modified(|now| now.fail(&error));
                Err(error)
            }
        }
    }

    /// Lets another model answer a share of the requests, from 0 to 1, once its first forward pass
    /// is right. The same request id always meets the same model. A canary that fails on a batch
    /// gets no more requests.
    pub async fn canary(
        &self,
        predictor: impl Predictor,
        identity: ModelIdentity,
        share: f64,
    ) -> Result<()> {
        let model = self.tested(predictor, identity).await?;
        let share = share.clamp(0.0, 1.0);
        self.change(|traffic| traffic.canary = Some(Canary { model: Arc::clone(&model), share }));
        Ok(())
    }

    /// Sends no more requests to the canary.
    pub fn end_canary(&self) {
        self.change(|traffic| traffic.canary = None);
    }

    /// Lets the canary answer everything; says whether there was one that has not failed.
    pub fn promote_canary(&self) -> bool {
        let mut is_promoted = false;
        self.shared.traffic.rcu(|traffic| {
            let mut traffic = Traffic::clone(traffic);
            let canary = traffic.canary.take_if(|canary| !canary.model.has_failed());
            is_promoted = canary.is_some();
            traffic.stable = canary.map_or(traffic.stable, |canary| canary.model);
            traffic
        });
        is_promoted
    }

    /// Asks another model for a second opinion on what was answered, when there is nothing else to
    /// do; only metrics tell of it.
    pub async fn shadow(&self, predictor: impl Predictor, identity: ModelIdentity) -> Result<()> {
        let model = self.tested(predictor, identity).await?;
        self.change(|traffic| traffic.shadow = Some(Arc::clone(&model)));
        Ok(())
    }

    /// Asks the shadow no more.
    pub fn end_shadow(&self) {
        self.change(|traffic| traffic.shadow = None);
    }

    async fn tested(
        &self,
        predictor: impl Predictor,
        identity: ModelIdentity,
    ) -> Result<Arc<Model>> {
        let model = Model::new(predictor, identity);
        let (send, verdict) = oneshot::channel();
        let send = |verdict| drop(send.send(verdict));
        let test = SelfTest { model: Arc::clone(&model), verdict: Box::new(send) };
        self.shared.queue.push_self_test(test);
        verdict.await.unwrap_or(Err(Error::Stopped)).map(|()| model)
    }

    fn change(&self, change: impl Fn(&mut Traffic)) {
        self.shared.traffic.rcu(|traffic| {
            let mut traffic = Traffic::clone(traffic);
            change(&mut traffic);
            traffic
        });
    }

    /// Says no on `/readyz` from now on, keeps answering, and waits until no predict request is
    /// left. Whoever stops sending new ones first need not fear to lose any.
    pub async fn drain(&self) {
        self.begin_drain();
        let mut in_flight = self.shared.in_flight.subscribe();
        // The sender lives in what self holds, so waiting cannot fail.
        let _ = in_flight.wait_for(|n_requests| *n_requests == 0).await;
    }

    /// Says no on `/readyz` from now on.
    pub(crate) fn begin_drain(&self) {
        self.shared.lifecycle.send_replace(Lifecycle::Draining);
    }

    /// Answers whatever has no answer yet: the time for it is over.
    pub(crate) fn give_up(&self) {
        self.shared.over.send_replace(true);
    }

    /// Ends each connection with its next answer from now on.
    pub(crate) fn close_connections(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("lifecycle", &self.lifecycle()).finish_non_exhaustive()
    }
}
