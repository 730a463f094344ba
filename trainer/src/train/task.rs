//! The texts of a training, passed over again and again.

use std::ops::Range;
use std::time::Instant;

use burn::tensor::Device;
use checkpoint::{Config, Tokenizer};

use super::learner::{Labelled, Learner};
use super::state::StateFolder;
use super::threads::Threads;
use super::{Event, Listener, Run, TrainConfig, order, tell};
use crate::classifier::{Classifier, Sequences, encode, in_batches, logits};
use crate::dataset::{Example, Split, Target};
use crate::error::{Error, Result};
use crate::evaluate::{HALF, Measuring, Thresholds, check_examples};
use crate::report::{EpochReport, Measured};

/// What does not change while training.
pub(super) struct Task<'a> {
    config: &'a TrainConfig,
    model: Config,
    /// What is learned, which `model` does not always say.
    task: checkpoint::Task,
    tokenizer: Tokenizer,
    device: Device,
    pub(super) threads: Threads,
    train: Texts<'a>,
    /// Texts that the epochs are measured on, as long as a server would take them.
    measured: Texts<'a>,
    pub(super) measured_on: Measured,
}

/// Examples and their tokens.
struct Texts<'a> {
    examples: &'a [Example],
    rows: Vec<Sequences>,
    /// Texts that are longer than they may be.
    n_cut: usize,
}

impl<'a> Task<'a> {
    pub(super) fn new(
        start: &Classifier,
        data: &'a Split,
        config: &'a TrainConfig,
    ) -> Result<Self> {
        check_examples(&data.train, start.labels(), start.task())?;
        let first = &data.train[0].target;
        if data.train.iter().all(|example| example.target == *first) {
            return Err(match first {
                Target::Label(label) => Error::OneLabel { label: start.labels()[*label].clone() },
                _ => Error::NothingToTell,
            });
        }
        let (measured, measured_on) = if data.validation.is_empty() {
            (&data.train, Measured::Train)
        } else {
            (&data.validation, Measured::Validation)
        };
        check_examples(measured, start.labels(), start.task())?;
        let tokenizer = &start.tokenizer;
        let texts = |examples: &'a [Example], tokenizer: &Tokenizer| {
            let rows = encode(tokenizer, None, examples)?;
            let n_cut = rows.iter().filter(|row| row[0].is_cut).count();
            Ok::<_, Error>(Texts { examples, rows, n_cut })
        };
        let train = texts(&data.train, &tokenizer.cut_to(config.max_length)?)?;
        let measured = texts(measured, tokenizer)?;
        Ok(Self {
            config,
            model: start.config.clone(),
            task: start.task(),
            tokenizer: tokenizer.clone(),
            device: start.kind.device(),
            threads: Threads::new(config.threads)?,
            train,
            measured,
            measured_on,
        })
    }

    /// Texts that are longer than they may be, of those that are learned from and measured on.
    pub(super) fn n_cut(&self) -> usize {
        self.train.n_cut + self.measured.n_cut
    }

    /// Steps of all epochs.
    pub(super) fn n_steps(&self) -> usize {
        let n_batches = self.train.rows.len().div_ceil(self.config.batch_size);
        n_batches.div_ceil(self.config.accumulation).saturating_mul(self.config.epochs)
    }

    /// The batches of each step of an epoch, from 1.
    fn steps(&self, epoch: usize) -> Vec<Vec<Vec<usize>>> {
        let Self { config, train, .. } = self;
        let lengths: Vec<usize> = train.rows.iter().map(|row| row[0].ids.len()).collect();
        let batches = order::batches(&lengths, config.batch_size, config.seed, epoch);
        batches.chunks(config.accumulation).map(<[_]>::to_vec).collect()
    }

    /// Does the steps from one to before another, counted from 0 over all epochs.
    pub(super) fn learn(
        &self,
        mut learner: Learner,
        steps: Range<usize>,
        on: &dyn Fn(&Learner) -> Result<()>,
    ) -> Result<Learner> {
        let n_in_epoch = self.n_steps() / self.config.epochs;
        let mut order = (0, Vec::new());
        for step in steps {
            let epoch = step / n_in_epoch + 1;
            if order.0 != epoch {
                order = (epoch, self.steps(epoch));
            }
            let batches = &order.1[step % n_in_epoch];
            learner = self.threads.run(|| self.train.step(learner, batches))?;
            on(&learner)?;
        }
        Ok(learner)
    }

    /// Adds a link to the record, and keeps the state for good where that was asked for.
    pub(super) fn link(
        &self,
        run: &mut Run,
        start: &Classifier,
        state: Option<&StateFolder>,
        on: Listener<'_>,
    ) -> Result<()> {
        let epoch = if run.learner.losses.is_empty() { 0 } else { run.epoch };
        self.threads.run(|| run.record.add(&run.learner, start, epoch));
        let link = run.record.links[run.record.links.len() - 1].clone();
        if let Some(state) = state.filter(|_| link.step > 0) {
            state.save_for_good(run)?;
        }
        tell(on, Event::Linked(link))
    }

    /// Passes over the training texts once, or over those that are left of this epoch.
    pub(super) fn train_epoch(
        &self,
        mut run: Run,
        start: &Classifier,
        state: Option<&StateFolder>,
        on: Listener<'_>,
    ) -> Result<Run> {
        let steps = self.steps(run.epoch);
        let before = (run.seconds, run.epoch_seconds);
        let (began, mut n_seen) = (Instant::now(), 0);
        for step in &steps[run.steps_in_epoch..] {
            let learning_rate = run.learner.rate();
            let learner = run.learner;
            run.learner = self.threads.run(|| self.train.step(learner, step))?;
            run.steps_in_epoch += 1;
            n_seen += step.iter().map(Vec::len).sum::<usize>();
            let seconds = began.elapsed().as_secs_f64();
            (run.seconds, run.epoch_seconds) = (before.0 + seconds, before.1 + seconds);
            let n_done = run.learner.losses.len();
            let is_linked = n_done.is_multiple_of(self.config.record_every)
                || run.steps_in_epoch == steps.len();
            let linked = match is_linked {
                true => self.link(&mut run, start, state, on),
                false => Ok(()),
            };
            let told = tell(
                on,
                Event::Step {
                    epoch: run.epoch,
                    step: n_done,
                    n_steps: self.n_steps(),
                    loss: run.learner.losses.last().copied().unwrap_or(f32::NAN),
                    learning_rate,
                    examples_per_second: n_seen as f64 / seconds,
                },
            );
            let told = linked.and(told);
            // Who asks politely loses nothing.
            if let Some(state) =
                state.filter(|state| told.is_err() || n_done.is_multiple_of(state.every))
            {
                state.save(&run)?;
            }
            told?;
        }
        Ok(run)
    }

    /// Measures what an epoch brought.
    pub(super) fn measure_epoch(&self, run: &mut Run, on: Listener<'_>) -> Result<()> {
        let began = Instant::now();
        let network = run.learner.network();
        let (n_texts, mut n_done) = (self.measured.rows.len(), 0);
        let logits = in_batches(&self.tokenizer, &self.measured.rows, |rows| {
            n_done += rows.len();
            tell(on, Event::Measure { epoch: run.epoch, n_done, n_texts })?;
            Ok(self.threads.run(|| logits(&network, &self.model, rows, &self.device)))
        })?;
        if !logits.iter().flatten().all(|logit| logit.is_finite()) {
            return Err(Error::Diverged { step: run.learner.losses.len() });
        }
        // What is learned from says of no other text where to draw the line.
        let halves = vec![HALF; self.model.labels.len()];
        let thresholds = match self.measured_on {
            Measured::Validation => Thresholds::Chosen,
            Measured::Train => Thresholds::Given(&halves),
        };
        let measuring = Measuring { task: self.task, labels: &self.model.labels, thresholds };
        let evaluation = measuring.measure(&logits, self.measured.n_cut, self.measured.examples);
        if !evaluation.loss.is_finite() {
            return Err(Error::Diverged { step: run.learner.losses.len() });
        }
        let losses = &run.learner.losses[run.learner.losses.len() - run.steps_in_epoch..];
        run.end_epoch(EpochReport {
            epoch: run.epoch,
            train_loss: losses.iter().copied().map(f64::from).sum::<f64>() / losses.len() as f64,
            evaluation,
            examples_per_second: self.train.rows.len() as f64 / run.epoch_seconds,
            train_seconds: run.epoch_seconds,
            evaluation_seconds: began.elapsed().as_secs_f64(),
        });
        Ok(())
    }
}

impl Texts<'_> {
    fn step(&self, learner: Learner, batches: &[Vec<usize>]) -> Result<Learner> {
        let batch = |numbers: &Vec<usize>| Labelled {
            texts: numbers.iter().map(|n| &self.rows[*n][0]).collect(),
            targets: numbers.iter().map(|n| &self.examples[*n].target).collect(),
        };
        learner.step(&batches.iter().map(batch).collect::<Vec<_>>())
    }
}
