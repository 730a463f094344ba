//! A predictor together with who it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::predictor::{AnyPredictor, Predictor};
use crate::scores::{Top, given, scores, top};

/// Which model answers, as it is known from outside. Every field may be missing: a plain folder has
/// none of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelIdentity {
    /// The ModelKit's manifest digest, `sha256:…`; the header `X-ModelKit-Digest`.
    pub digest: Option<String>,
    /// What the model was resolved from, `registry/repository:tag`; the header `X-Model-Version`.
    pub reference: Option<String>,
    /// The Kitfile, as JSON.
    pub kitfile: Option<serde_json::Value>,
    /// The ModelKit's manifest, byte for byte.
    pub manifest: Option<Vec<u8>>,
}

/// A loaded model. A request holds on to the one that it began with, so no answer can mix two.
pub(crate) struct Model {
    pub(crate) predictor: Box<dyn AnyPredictor>,
    pub(crate) identity: ModelIdentity,
    failed: AtomicBool,
}

impl Model {
    pub(crate) fn new(predictor: impl Predictor, identity: ModelIdentity) -> Arc<Self> {
        Arc::new(Self { predictor: Box::new(predictor), identity, failed: AtomicBool::new(false) })
    }

    /// The scores of one row of logits.
    pub(crate) fn scores(&self, logits: &[f32]) -> Vec<f32> {
        scores(logits, self.predictor.task())
    }

    /// The best label of one row of logits.
    pub(crate) fn top(&self, logits: &[f32]) -> Top {
        top(logits, self.predictor.task())
    }

    /// The labels that a text with these logits is given, where the model has thresholds.
    pub(crate) fn given(&self, logits: &[f32]) -> Option<Vec<Top>> {
        let thresholds = self.predictor.thresholds()?;
        Some(given(&self.scores(logits), thresholds))
    }

    /// Its digest, or what stands for a version where there is none.
    pub(crate) fn version_name(&self) -> &str {
        self.identity.digest.as_deref().unwrap_or("1")
    }

    /// It could not compute a batch.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
