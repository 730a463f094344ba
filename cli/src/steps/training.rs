//! What a training begins with, and what is kept of it so that it can be derived again: `train` and
//! `verify --retrain` come to the same start by the same way.

use std::path::Path;

use serde::{Deserialize, Serialize};
use trainer::{Classifier, Dataset, Split};

use super::dataset::DatasetArgs;
use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// The training record in a model's folder.
pub(crate) const RECORD: &str = "training-record.json";

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
    pub(crate) dataset: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<String>,
    pub(crate) validation_fraction: f64,
    pub(crate) reading: DatasetArgs,
}

/// The files of the examples.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) dataset: &'a Path,
    /// What is held out, where it is a file of its own.
    pub(crate) validation: Option<&'a Path>,
}

/// The start of a training.
pub(crate) struct Prepared {
    /// With the labels of the dataset.
    pub(crate) start: Classifier,
    /// The checkpoint's own labels.
    pub(crate) known: Vec<String>,
    pub(crate) dataset: Dataset,
    pub(crate) split: Split,
    /// Rows that were left out.
    pub(crate) n_skipped: usize,
}

/// Reads the examples, gives the checkpoint their labels, and holds some of them out.
pub(crate) fn prepared(
    base: Classifier,
    reading: &DatasetArgs,
    files: Files<'_>,
    (validation_fraction, seed): (f64, u64),
    ui: &Ui,
) -> anyhow::Result<Prepared> {
    let dataset = reading.read(files.dataset, ui)?;
    let known = base.labels().to_vec();
    let start = base.with_labels(dataset.labels.clone(), seed);
    let mut n_skipped = dataset.skipped.len();
    let split = match files.validation {
        Some(path) => {
            let validation = reading.read(path, ui)?;
            n_skipped += validation.skipped.len();
            if validation.is_matched_by_place(&dataset.labels) {
                return Err(asked_wrongly(format!(
                    "the labels of {} are numbers, and those of {} are names",
                    path.display(),
                    files.dataset.display()
                )));
            }
            // A number means there what it means here.
            let validation = match dataset.is_matched_by_place(start.labels()) {
                true => validation.aligned_to(&dataset.labels)?,
                false => validation,
            };
            let validation = validation.aligned_to(start.labels())?.examples;
            Split { train: dataset.clone().aligned_to(start.labels())?.examples, validation }
        }
        None => dataset
            .clone()
            .aligned_to(start.labels())?
            .split(validation_fraction, seed)
            .map_err(of_option)?,
    };
    Ok(Prepared { start, known, dataset, split, n_skipped })
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
