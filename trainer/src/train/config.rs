//! How to train.

use checkpoint::Task;
use serde::{Deserialize, Serialize};

use super::loss::ClassWeights;
use crate::classifier::Classifier;
use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::isa::{bits_of, instruction_set};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Passes over the training examples.
    pub epochs: usize,
    /// Texts that go through the network together.
    pub batch_size: usize,
    /// Batches whose gradients make one step; the step's loss is the mean over all of their texts.
    pub accumulation: usize,
    /// The highest learning rate, reached after the warm-up.
    pub learning_rate: f64,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Decoupled weight decay; biases and LayerNorm have none.
    pub weight_decay: f64,
    /// The share of all steps in which the learning rate rises, from 0 to 1; in the others it falls
    /// to zero.
    pub warmup: f64,
    /// Gradients are scaled down to this norm over all of them.
    pub max_grad_norm: f64,
    /// The share of each label's probability that is spread over all labels, from 0 to below 1.
    pub label_smoothing: f64,
    /// How much each label counts in the loss.
    pub class_weights: ClassWeights,
    /// Ends training after so many epochs that were no better than the best before.
    pub patience: Option<usize>,
    /// Leaves the embeddings and this many of the first layers as they are.
    pub freeze_layers: Option<usize>,
    /// Longest text in tokens while training; longer ones are cut.
    pub max_length: usize,
    /// The probability of dropout everywhere; without it the checkpoint's own.
    pub dropout: Option<f64>,
    /// Threads that compute; without it all that the process may use. The weights do not depend on
    /// it.
    pub threads: Option<usize>,
    /// The instruction set whose bits the weights have, as a report names it: a processor that
    /// computes others is refused. On flex those of `x86-64-v3` and `x86-64-v4` are the same.
    pub isa: Option<String>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 16,
            accumulation: 1,
            learning_rate: 5e-5,
            seed: 42,
            weight_decay: 0.01,
            warmup: 0.1,
            max_grad_norm: 1.0,
            label_smoothing: 0.0,
            class_weights: ClassWeights::Equal,
            patience: None,
            freeze_layers: None,
            max_length: 128,
            dropout: None,
            threads: None,
            isa: None,
        }
    }
}

impl TrainConfig {
    /// Says which option is out of its range.
    pub(super) fn check(&self, start: &Classifier) -> Result<()> {
        let (n_labels, n_layers) = (start.labels().len(), start.config.network.n_layers);
        let refuse =
            |option, problem: &str| Err(Error::TrainOption { option, problem: problem.to_owned() });
        let is_size = |x: f64| x.is_finite() && x >= 0.0;
        let is_share = |x: f64| (0.0..1.0).contains(&x);
        match self {
            Self { epochs: 0, .. } => refuse("epochs", "it is 0"),
            Self { batch_size: 0, .. } => refuse("batch_size", "it is 0"),
            Self { accumulation: 0, .. } => refuse("accumulation", "it is 0"),
            Self { threads: Some(0), .. } => refuse("threads", "it is 0"),
            Self { patience: Some(0), .. } => refuse("patience", "it is 0"),
            _ if self.max_length < 3 => {
                refuse("max_length", "it leaves no room for a token of the text")
            }
            _ if !is_size(self.learning_rate) => {
                refuse("learning_rate", "it is negative or no number")
            }
            _ if !is_size(self.weight_decay) => {
                refuse("weight_decay", "it is negative or no number")
            }
            _ if self.max_grad_norm.is_nan() || self.max_grad_norm <= 0.0 => {
                refuse("max_grad_norm", "it is not positive")
            }
            _ if !(0.0..=1.0).contains(&self.warmup) => refuse("warmup", "it is not from 0 to 1"),
            _ if !is_share(self.label_smoothing) => {
                refuse("label_smoothing", "it is not from 0 to below 1")
            }
            _ if self.dropout.is_some_and(|p| !is_share(p)) => {
                refuse("dropout", "it is not from 0 to below 1")
            }
            _ if self.freeze_layers.is_some_and(|n| n > n_layers) => {
                refuse("freeze_layers", &format!("the network has {n_layers}"))
            }
            _ => self
                .check_task(start.task())
                .and_then(|()| self.check_weights(n_labels))
                .and_then(|()| self.check_isa(start.kind)),
        }
    }

    /// What means nothing for a task is not passed over.
    fn check_task(&self, task: Task) -> Result<()> {
        let refuse =
            |option, problem: &str| Err(Error::TrainOption { option, problem: problem.to_owned() });
        match task {
            Task::SingleLabel => Ok(()),
            _ if self.label_smoothing > 0.0 => {
                refuse("label_smoothing", "it is for classifiers of which one label is right")
            }
            Task::Regression if self.class_weights != ClassWeights::Equal => {
                refuse("class_weights", "a figure has no classes")
            }
            _ => Ok(()),
        }
    }

    fn check_weights(&self, n_labels: usize) -> Result<()> {
        let ClassWeights::Given(weights) = &self.class_weights else { return Ok(()) };
        let problem = match weights {
            _ if weights.len() != n_labels => {
                format!("it has {} numbers for {n_labels} labels", weights.len())
            }
            _ if !weights.iter().all(|weight| weight.is_finite() && *weight > 0.0) => {
                "a weight is not positive".to_owned()
            }
            _ => return Ok(()),
        };
        Err(Error::TrainOption { option: "class_weights", problem })
    }

    fn check_isa(&self, kind: DeviceKind) -> Result<()> {
        let found = instruction_set();
        match &self.isa {
            Some(asked) if bits_of(kind, asked) != bits_of(kind, found) => {
                Err(Error::InstructionSet {
                    asked: asked.clone(),
                    found: found.to_owned(),
                    device: kind.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}
