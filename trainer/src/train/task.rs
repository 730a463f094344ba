//! The texts of a training, passed over again and again.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::Device;

use super::learner::Learner;
use super::threads::Threads;
use super::{Event, TrainConfig, order, tell};
use crate::classifier::{Classifier, logits};
use crate::dataset::{Example, Split};
use crate::error::{Error, Result};
use crate::evaluate::{check_examples, measure};
use crate::model_config::ModelConfig;
use crate::report::{EpochReport, Measured};

/// What does not change while training.
pub(super) struct Task<'a> {
    config: &'a TrainConfig,
    model: ModelConfig,
    device: Device,
    pub(super) threads: Threads,
    train: Texts<'a>,
    /// Texts that the epochs are measured on, as long as a server would take them.
    measured: Texts<'a>,
    pub(super) measured_on: Measured,
}

/// Examples and their token ids.
struct Texts<'a> {
    examples: &'a [Example],
    rows: Vec<Vec<u32>>,
}

/// An epoch's training.
pub(super) struct Trained {
    pub(super) learner: Learner,
    pub(super) train_loss: f64,
    pub(super) seconds: f64,
}

impl<'a> Task<'a> {
    pub(super) fn new(start: &Classifier, data: &'a Split, config: &'a TrainConfig) -> Result<Self> {
        check_examples(&data.train, start.labels())?;
        if let [label] = start.labels() {
            return Err(Error::OneLabel { label: label.clone() });
        }
        let (measured, measured_on) = if data.validation.is_empty() {
            (&data.train, Measured::Train)
        } else {
            (&data.validation, Measured::Validation)
        };
        check_examples(measured, start.labels())?;
        let tokenizer = &start.tokenizer;
        let longest = config.max_length.min(start.config.network.max_position_embeddings);
        let texts = |examples: &'a [Example], tokenizer: &crate::tokenizer::TextTokenizer| {
            let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
            Ok(Texts { examples, rows: tokenizer.encode(&texts)? })
        };
        Ok(Self {
            config,
            model: start.config.clone(),
            device: start.kind.device(),
            threads: Threads::new(config.threads)?,
            train: texts(&data.train, &tokenizer.cut_to(longest)?)?,
            measured: texts(measured, tokenizer)?,
            measured_on,
        })
    }

    /// Steps of all epochs.
    pub(super) fn n_steps(&self) -> usize {
        self.train.rows.len().div_ceil(self.config.batch_size) * self.config.epochs
    }

    /// Passes over the training texts once.
    pub(super) fn train_epoch(
        &self,
        epoch: usize,
        mut learner: Learner,
        on: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Trained> {
        let began = Instant::now();
        let lengths: Vec<usize> = self.train.rows.iter().map(Vec::len).collect();
        let batches = order::batches(&lengths, self.config.batch_size, self.config.seed, epoch);
        let n_before = learner.losses.len();
        let mut n_seen = 0;
        for batch in batches {
            let learning_rate = learner.rate();
            learner = self.threads.run(|| self.train.step(learner, &batch))?;
            n_seen += batch.len();
            tell(
                on,
                Event::Step {
                    epoch,
                    step: learner.losses.len(),
                    n_steps: self.n_steps(),
                    loss: learner.losses.last().copied().unwrap_or(f32::NAN),
                    learning_rate,
                    examples_per_second: n_seen as f64 / began.elapsed().as_secs_f64(),
                },
            )?;
        }
        let losses = &learner.losses[n_before..];
        let train_loss = losses.iter().copied().map(f64::from).sum::<f64>() / losses.len() as f64;
        Ok(Trained { learner, train_loss, seconds: began.elapsed().as_secs_f64() })
    }

    /// Measures what an epoch brought.
    pub(super) fn measure_epoch(&self, epoch: usize, trained: &Trained) -> EpochReport {
        let began = Instant::now();
        let network = trained.learner.network();
        let logits = self.threads.run(move || logits(&network, &self.model, &self.measured.rows, &self.device));
        EpochReport {
            epoch,
            train_loss: trained.train_loss,
            evaluation: measure(&logits, self.measured.examples, &self.model.labels),
            examples_per_second: self.train.rows.len() as f64 / trained.seconds,
            train_seconds: trained.seconds,
            evaluation_seconds: began.elapsed().as_secs_f64(),
        }
    }
}

impl Texts<'_> {
    fn step(&self, learner: Learner, batch: &[usize]) -> Result<Learner> {
        let texts: Vec<&[u32]> = batch.iter().map(|n| &self.rows[*n][..]).collect();
        let labels: Vec<usize> = batch.iter().map(|n| self.examples[*n].label).collect();
        learner.step(&texts, &labels)
    }
}
