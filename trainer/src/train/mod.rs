//! Fine-tuning that repeats to the byte.

mod adamw;
mod learner;
mod order;
mod schedule;
mod task;
mod threads;

use std::ops::ControlFlow;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::classifier::Classifier;
use crate::dataset::Split;
use crate::distilbert::DistilBertClassifier;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::report::{DataSummary, EpochReport, Report, instruction_set, versions};
use learner::Learner;
use task::Task;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Passes over the training examples.
    pub epochs: usize,
    /// Texts in a step.
    pub batch_size: usize,
    /// The highest learning rate, reached after the warm-up.
    pub learning_rate: f64,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Decoupled weight decay; biases and LayerNorm have none.
    pub weight_decay: f64,
    /// The share of all steps in which the learning rate rises, from 0 to 1; in the others it falls to zero.
    pub warmup: f64,
    /// Gradients are scaled down to this norm over all of them.
    pub max_grad_norm: f64,
    /// Longest text in tokens while training; longer ones are cut.
    pub max_length: usize,
    /// The probability of dropout everywhere; without it the checkpoint's own.
    pub dropout: Option<f64>,
    /// Threads that compute; without it all that the process may use. The weights do not depend on it.
    pub threads: Option<usize>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 16,
            learning_rate: 5e-5,
            seed: 42,
            weight_decay: 0.01,
            warmup: 0.1,
            max_grad_norm: 1.0,
            max_length: 128,
            dropout: None,
            threads: None,
        }
    }
}

/// What happens while training.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The texts are tokenized; the first step comes next.
    Started {
        /// Examples to learn from.
        n_train: usize,
        /// Examples that are held out.
        n_validation: usize,
        /// Steps of all epochs.
        n_steps: usize,
    },
    /// A step is done.
    Step {
        /// The epoch, from 1.
        epoch: usize,
        /// The step, from 1, counted over all epochs.
        step: usize,
        /// Steps of all epochs.
        n_steps: usize,
        /// The step's loss.
        loss: f32,
        /// The step's learning rate.
        learning_rate: f64,
        /// The epoch's speed so far.
        examples_per_second: f64,
    },
    /// An epoch is done and measured.
    Epoch {
        /// The epoch, from 1.
        epoch: usize,
        /// The mean loss of its steps.
        train_loss: f64,
        /// How the classifier does now.
        evaluation: Evaluation,
    },
}

/// Fine-tunes a classifier and returns it as it was after its best epoch: the highest accuracy, then the lowest loss.
///
/// The same start, data and config give the same weights, for any number of threads.
/// `on` hears of every step; when it answers `Break`, training ends with [`Error::Cancelled`].
pub fn train(
    start: Classifier,
    data: &Split,
    config: &TrainConfig,
    on: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(Classifier, Report)> {
    let began = Instant::now();
    config.check()?;
    let task = Task::new(&start, data, config)?;
    let (n_train, n_validation) = (data.train.len(), data.validation.len());
    tell(on, Event::Started { n_train, n_validation, n_steps: task.n_steps() })?;
    let mut learner = Learner::new(start.network, start.config.clone(), config, task.n_steps(), start.kind);
    let mut epochs = Vec::new();
    let mut best: Option<Best> = None;
    for epoch in 1..=config.epochs {
        let trained = task.train_epoch(epoch, learner, on)?;
        let report = task.measure_epoch(epoch, &trained);
        learner = trained.learner;
        if best.as_ref().is_none_or(|best| best.is_beaten_by(&report.evaluation)) {
            best = Some(Best { epoch, evaluation: report.evaluation.clone(), network: learner.network() });
        }
        let EpochReport { train_loss, evaluation, .. } = report.clone();
        epochs.push(report);
        tell(on, Event::Epoch { epoch, train_loss, evaluation })?;
    }
    let best = best.expect("there is at least one epoch");
    let trained = Classifier { network: best.network, ..start };
    let report = Report {
        labels: trained.labels().to_vec(),
        n_parameters: trained.n_parameters(),
        base_weights: trained.loaded.clone(),
        train: DataSummary::of(&data.train, trained.labels().len()),
        validation: DataSummary::of(&data.validation, trained.labels().len()),
        measured_on: task.measured_on,
        config: config.clone(),
        device: trained.kind,
        n_threads: task.threads.count(),
        instruction_set: instruction_set(),
        versions: versions(),
        epochs,
        best_epoch: best.epoch,
        losses: learner.losses,
        seconds: began.elapsed().as_secs_f64(),
    };
    Ok((trained, report))
}

/// The weights that are kept so far.
struct Best {
    epoch: usize,
    evaluation: Evaluation,
    network: DistilBertClassifier,
}

impl Best {
    fn is_beaten_by(&self, other: &Evaluation) -> bool {
        let key = |evaluation: &Evaluation| (evaluation.accuracy, -evaluation.loss);
        key(other) > key(&self.evaluation)
    }
}

impl TrainConfig {
    /// Says which option is out of its range.
    fn check(&self) -> Result<()> {
        let refuse = |option, problem: &str| Err(Error::TrainOption { option, problem: problem.to_owned() });
        let is_size = |x: f64| x.is_finite() && x >= 0.0;
        match self {
            Self { epochs: 0, .. } => refuse("epochs", "it is 0"),
            Self { batch_size: 0, .. } => refuse("batch_size", "it is 0"),
            Self { threads: Some(0), .. } => refuse("threads", "it is 0"),
            _ if self.max_length < 3 => refuse("max_length", "it leaves no room for a token of the text"),
            _ if !is_size(self.learning_rate) => refuse("learning_rate", "it is negative or no number"),
            _ if !is_size(self.weight_decay) => refuse("weight_decay", "it is negative or no number"),
            _ if self.max_grad_norm.is_nan() || self.max_grad_norm <= 0.0 => {
                refuse("max_grad_norm", "it is not positive")
            }
            _ if !(0.0..=1.0).contains(&self.warmup) => refuse("warmup", "it is not from 0 to 1"),
            _ if self.dropout.is_some_and(|p| !(0.0..1.0).contains(&p)) => {
                refuse("dropout", "it is not from 0 to below 1")
            }
            _ => Ok(()),
        }
    }
}

fn tell(on: &mut dyn FnMut(Event) -> ControlFlow<()>, event: Event) -> Result<()> {
    if on(event).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}
