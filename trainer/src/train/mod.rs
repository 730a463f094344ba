//! Fine-tuning that repeats to the byte.

mod adamw;
mod config;
mod learner;
mod loss;
mod order;
mod proof;
mod record;
mod schedule;
mod state;
mod task;
mod threads;

use std::ops::ControlFlow;

pub use config::TrainConfig;
use learner::Learner;
pub use loss::ClassWeights;
pub use proof::{Audited, Difference, Retrained, audit, drawn, retrain};
pub use record::{BrokenRecord, Link, Record};
pub use state::Keep;
use state::StateFolder;
use task::Task;

use crate::classifier::Classifier;
use crate::dataset::Split;
use crate::distilbert::DistilBertClassifier;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::isa::instruction_set;
use crate::report::{DataSummary, EpochReport, Measured, Report, versions};

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
        /// Steps that were done before, by the training that this one goes on with.
        n_done: usize,
        /// Texts of both that are longer than they may be, and are cut.
        n_cut: usize,
    },
    /// The state after a step that the record has a link for; its [`Event::Step`] comes next.
    Linked(Link),
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
    /// Some of the examples that an epoch is measured on are next.
    Measure {
        /// The epoch, from 1.
        epoch: usize,
        /// How many, with those that are next.
        n_done: usize,
        /// Of how many.
        n_texts: usize,
    },
    /// An epoch is done and measured.
    Epoch {
        /// The epoch, from 1.
        epoch: usize,
        /// The mean loss of its steps.
        train_loss: f64,
        /// How the classifier does now.
        evaluation: Evaluation,
        /// On what.
        measured_on: Measured,
    },
}

/// Whoever listens; `Break` stops the work.
pub type Listener<'a, E = Event> = &'a dyn Fn(E) -> ControlFlow<()>;

/// Fine-tunes a classifier and returns it as it was after its best epoch: the highest accuracy (or
/// micro F1, where several labels may be right), then the lowest loss; of figures the smallest
/// error.
/// Where several labels may be right and examples are held out, the classifier has the thresholds
/// with the best F1 on these.
///
/// The same start, data and config give the same weights, for any number of threads.
/// `keep` names a folder in which the state of the training is kept: when it is interrupted, it can
/// go on from there, and ends with the same weights as one that was not.
/// `on` hears of every step; when it answers `Break`, training ends with [`Error::Cancelled`].
pub fn train(
    start: Classifier,
    data: &Split,
    config: &TrainConfig,
    keep: Option<&Keep>,
    on: Listener<'_>,
) -> Result<(Classifier, Report)> {
    config.check(&start)?;
    let task = Task::new(&start, data, config)?;
    let state = keep.map(|keep| StateFolder::new(keep, &start, data, config)).transpose()?;
    let learner = Learner::new(&start, data, config, task.n_steps());
    let mut run = Run::new(learner, Record::new(&start, data, config));
    if let Some(restored) =
        state.as_ref().map(|state| state.restore(&run, &start)).transpose()?.flatten()
    {
        run = restored;
    }
    let linked = match run.record.links.is_empty() {
        true => task.link(&mut run, &start, state.as_ref(), on),
        false => Ok(()),
    };
    let (n_train, n_validation) = (data.train.len(), data.validation.len());
    let n_done = run.learner.losses.len();
    let (n_steps, n_cut) = (task.n_steps(), task.n_cut());
    let started = Event::Started { n_train, n_validation, n_steps, n_done, n_cut };
    let begun = linked.and_then(|()| tell(on, started));
    // Who asks before the first step goes on with the beginning.
    if let (Err(Error::Cancelled), Some(state)) = (&begun, &state) {
        state.save(&run)?;
    }
    begun?;
    while !run.is_over(config) {
        run = task.train_epoch(run, &start, state.as_ref(), on)?;
        let measured = task.measure_epoch(&mut run, on);
        // Measuring that was interrupted is done again.
        if let Some(state) =
            state.as_ref().filter(|_| matches!(measured, Ok(()) | Err(Error::Cancelled)))
        {
            state.save(&run)?;
        }
        measured?;
        let EpochReport { epoch, train_loss, evaluation, .. } =
            run.epochs[run.epochs.len() - 1].clone();
        tell(on, Event::Epoch { epoch, train_loss, evaluation, measured_on: task.measured_on })?;
    }
    let learning_rates = run.learner.rates();
    let best = run.best.expect("there is at least one epoch");
    let (task_learned, is_held_out) = (start.task(), task.measured_on == Measured::Validation);
    let mut trained = Classifier { network: best.network, ..start };
    trained.config.task = task_learned;
    trained.config.thresholds = best.thresholds.filter(|_| is_held_out);
    let n_labels = trained.labels().len();
    let report = Report {
        about: None,
        task: task_learned.name().to_owned(),
        labels: trained.labels().to_vec(),
        n_parameters: trained.n_parameters(),
        base_weights: trained.loaded.clone(),
        train: DataSummary::of(&data.train, n_labels),
        validation: DataSummary::of(&data.validation, n_labels),
        measured_on: task.measured_on,
        config: config.clone(),
        device: trained.kind,
        n_threads: task.threads.count(),
        instruction_set: instruction_set().to_owned(),
        versions: versions(),
        epochs: run.epochs,
        best_epoch: best.epoch,
        losses: run.learner.losses,
        learning_rates,
        seconds: run.seconds,
        record: Record { best_epoch: best.epoch, ..run.record },
    };
    Ok((trained, report))
}

/// Where a training is.
struct Run {
    learner: Learner,
    /// The epoch that is passed over now, from 1.
    epoch: usize,
    /// Steps of this epoch that are done.
    steps_in_epoch: usize,
    /// Seconds that this epoch's steps took.
    epoch_seconds: f64,
    /// Seconds that everything took.
    seconds: f64,
    epochs: Vec<EpochReport>,
    best: Option<Best>,
    record: Record,
}

impl Run {
    fn new(learner: Learner, record: Record) -> Self {
        let epochs = Vec::new();
        Self {
            learner,
            epoch: 1,
            steps_in_epoch: 0,
            epoch_seconds: 0.0,
            seconds: 0.0,
            epochs,
            best: None,
            record,
        }
    }

    /// Whether all epochs are done, or nothing has become better for long enough.
    fn is_over(&self, config: &TrainConfig) -> bool {
        let n_since_best = self.best.as_ref().map_or(0, |best| self.epochs.len() - best.epoch);
        self.epoch > config.epochs
            || config.patience.is_some_and(|patience| n_since_best >= patience)
    }

    /// Takes what an epoch brought, and begins the next.
    fn end_epoch(&mut self, report: EpochReport) {
        let is_best = self.best.as_ref().is_none_or(|best| best.is_beaten_by(&report.evaluation));
        self.seconds += report.evaluation_seconds;
        if is_best {
            let network = self.learner.network();
            self.best = Some(Best::new(report.epoch, report.evaluation.clone(), network));
            // The sentences that the best one gets wrong are told; those of the others are not.
            self.epochs.iter_mut().for_each(|report| report.evaluation.mistakes.clear());
        }
        self.epochs.push(report);
        if !is_best && let Some(last) = self.epochs.last_mut() {
            last.evaluation.mistakes.clear();
        }
        self.epoch += 1;
        (self.steps_in_epoch, self.epoch_seconds) = (0, 0.0);
    }
}

/// The weights that are kept so far.
struct Best {
    epoch: usize,
    evaluation: Evaluation,
    /// By which it is compared.
    rank: [f64; 2],
    thresholds: Option<Vec<f64>>,
    network: DistilBertClassifier,
}

impl Best {
    fn new(epoch: usize, evaluation: Evaluation, network: DistilBertClassifier) -> Self {
        let (rank, thresholds) = (evaluation.rank(), evaluation.thresholds());
        Self { epoch, evaluation, rank, thresholds, network }
    }

    fn is_beaten_by(&self, other: &Evaluation) -> bool {
        other.rank() > self.rank
    }
}

fn tell(on: Listener<'_>, event: Event) -> Result<()> {
    if on(event).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}
