//! What a training begins with, and what is kept of it so that it can be derived again: `train` and
//! `verify --retrain` come to the same start by the same way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use trainer::{Classifier, Dataset, Split, Task};

use super::dataset::DatasetArgs;
use super::splits;
use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// The training record in a model's folder.
pub(crate) const RECORD: &str = "training-record.json";

/// The share of examples to measure on, where nobody asks for another.
const HELD_OUT: f64 = 0.2;

/// Where all that went into a training was found. Paths are those of the Kitfile where they lie
/// beneath its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The checkpoint: a folder, or a ModelKit by its reference.
    pub(crate) base: String,
    /// The ModelKit's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_modelkit: Option<String>,
    pub(crate) dataset: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) validation: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation_fraction: Option<f64>,
    /// What is learned, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    pub(crate) reading: DatasetArgs,
}

/// The files of the examples, or folders of them.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) dataset: &'a [PathBuf],
    /// What is held out, where it is in files of its own.
    pub(crate) validation: &'a [PathBuf],
}

/// The start of a training.
pub(crate) struct Prepared {
    /// With the task and the labels of the dataset.
    pub(crate) start: Classifier,
    /// What the checkpoint was trained for.
    pub(crate) known: Known,
    pub(crate) dataset: Dataset,
    pub(crate) split: Split,
    /// Rows that were left out.
    pub(crate) n_skipped: usize,
}

/// What a checkpoint was trained for.
pub(crate) struct Known {
    pub(crate) labels: Vec<String>,
    pub(crate) task: Task,
}

/// Reads the examples, gives the checkpoint their labels, and holds some of them out.
pub(crate) fn prepared(
    base: Classifier,
    reading: &DatasetArgs,
    named: Files<'_>,
    asked: Option<Task>,
    (validation_fraction, seed): (Option<f64>, u64),
    ui: &Ui,
) -> anyhow::Result<Prepared> {
    let files = splits::files(named.dataset, splits::Split::Train)?;
    let task = task(asked, &base);
    let dataset = reading.read(&files, task, ui)?;
    let known = Known { labels: base.labels().to_vec(), task: base.task() };
    if task != asked {
        ui.note(format_args!(
            "learning {}, as the checkpoint was trained for: --task says otherwise",
            dataset.task.name()
        ));
    }
    let start = base.with_task(dataset.task, dataset.labels.clone(), seed);
    let mut n_skipped = dataset.skipped.len();
    let held_out = held_out(named, validation_fraction)?;
    let split = if held_out.is_empty() {
        dataset
            .clone()
            .aligned_to(start.labels())?
            .split(validation_fraction.unwrap_or(HELD_OUT), seed)
            .map_err(of_option)?
    } else {
        let validation = reading.read(&held_out, Some(dataset.task), ui)?;
        n_skipped += validation.skipped.len();
        if validation.is_matched_by_place(&dataset.labels) {
            return Err(asked_wrongly(format!(
                "the labels of {} are numbers, and those of {} are names",
                splits::shown(&held_out),
                splits::shown(&files)
            )));
        }
        // A number means there what it means here.
        let validation = match dataset.is_matched_by_place(start.labels()) {
            true => validation.aligned_to(&dataset.labels)?,
            false => validation,
        };
        let validation = validation.aligned_to(start.labels())?.examples;
        Split { train: dataset.clone().aligned_to(start.labels())?.examples, validation }
    };
    Ok(Prepared { start, known, dataset, split, n_skipped })
}

/// What is learned, where that is said, or where the checkpoint says it. What has a single logit and
/// no `problem_type` says nothing: it may be made anew for any labels.
fn task(asked: Option<Task>, base: &Classifier) -> Option<Task> {
    let is_said = base.labels().len() > 1 || base.task() == Task::Regression;
    let of_checkpoint = (is_said && base.task() != Task::SingleLabel).then(|| base.task());
    asked.or(of_checkpoint)
}

/// The files to measure on: those that are named, or those of the folder of the dataset, where no
/// share was asked for.
fn held_out(named: Files<'_>, validation_fraction: Option<f64>) -> anyhow::Result<Vec<PathBuf>> {
    if !named.validation.is_empty() {
        return splits::files(named.validation, splits::Split::Validation);
    }
    let mut found = Vec::new();
    if validation_fraction.is_none() {
        for folder in named.dataset.iter().filter(|path| path.is_dir()) {
            found.extend(splits::of_folder(folder, splits::Split::Validation)?);
        }
    }
    Ok(found)
}

/// An option that cannot be was asked for wrongly.
pub(crate) fn of_option(error: trainer::Error) -> anyhow::Error {
    match error {
        trainer::Error::TrainOption { option, problem } => {
            asked_wrongly(format!("--{}: {problem}", option.replace('_', "-")))
        }
        trainer::Error::InstructionSet { .. } => asked_wrongly(format!("--isa: {error}")),
        other => other.into(),
    }
}
