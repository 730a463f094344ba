//! How a model came to be, as one document.

mod chart;
mod html;
mod scores;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dataset::{self, Example, Target};
use crate::device::DeviceKind;
use crate::evaluate::{Evaluation, Scores};
use crate::train::{Record, TrainConfig};

/// burn's version; `Cargo.toml` pins it.
const BURN: &str = "0.22.1";

/// Everything needed to tell how a model came to be, and how good it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What people call all that is meant here, where whoever trained has told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// What was learned, as `problem_type` calls it.
    #[serde(default = "single_label")]
    pub task: String,
    /// The labels, in the order of the logits.
    pub labels: Vec<String>,
    /// The number of weights.
    pub n_parameters: usize,
    /// `sha256:` of the weights that training started from.
    pub base_weights: String,
    /// What was learned from.
    pub train: DataSummary,
    /// What was held out.
    pub validation: DataSummary,
    /// Which of the two the epochs were measured on.
    pub measured_on: Measured,
    /// Seed and hyper-parameters.
    pub config: TrainConfig,
    /// What computed.
    pub device: DeviceKind,
    /// Threads that computed; the weights do not depend on it.
    pub n_threads: usize,
    /// What the processor can: `x86-64-v3` and the like; the weights may depend on it, see
    /// [`TrainConfig::isa`].
    pub instruction_set: String,
    /// Versions of this crate and of what computes.
    pub versions: BTreeMap<String, String>,
    /// Each pass over the examples.
    pub epochs: Vec<EpochReport>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// The loss of each step.
    pub losses: Vec<f32>,
    /// The learning rate of each step.
    #[serde(default)]
    pub learning_rates: Vec<f64>,
    /// How long it all took.
    pub seconds: f64,
    /// What the weights can be derived from again; a document of its own, as it tells no times.
    #[serde(skip)]
    pub record: Record,
}

/// What people call a model and what it was made of; digests say the same for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The model that came to be.
    pub model: String,
    /// The checkpoint that it began as.
    pub checkpoint: String,
    /// The dataset.
    pub dataset: String,
    /// The dataset that was held out, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
    /// The day on which the training ended: `2026-11-28`.
    pub day: String,
}

/// Some examples, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// `sha256:` of texts and labels.
    pub digest: String,
    /// How many examples.
    pub n_examples: usize,
    /// How many of each label, in the order of the labels; none of figures.
    pub n_by_label: Vec<usize>,
    /// Of figures, what they are like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What some figures are like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub largest: f64,
    /// The mean.
    pub mean: f64,
    /// The mean of the squared distances from it: the loss of always answering with it.
    pub variance: f64,
}

/// What an epoch was measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// Examples that were held out.
    Validation,
    /// The training examples themselves: none were held out.
    Train,
}

/// One pass over the examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 1.
    pub epoch: usize,
    /// The mean loss of its steps.
    pub train_loss: f64,
    /// How the classifier did after it.
    pub evaluation: Evaluation,
    /// Texts a second while training.
    pub examples_per_second: f64,
    /// Seconds spent training.
    pub train_seconds: f64,
    /// Seconds spent measuring.
    pub evaluation_seconds: f64,
}

impl Report {
    /// The document, ready for a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("a report becomes JSON");
        json + "\n"
    }

    /// The loss of whoever guesses: each label as often as any other, or always the mean figure.
    #[must_use]
    pub fn loss_of_guessing(&self) -> f64 {
        match &self.best().scores {
            Scores::SingleLabel(_) => (self.labels.len() as f64).ln(),
            Scores::MultiLabel(_) => std::f64::consts::LN_2,
            Scores::Regression(_) => self.train.figures.map_or(0.0, |figures| figures.variance),
        }
    }

    /// How the kept epoch did.
    #[must_use]
    pub fn best(&self) -> &Evaluation {
        &self.epochs[self.best_epoch - 1].evaluation
    }
}

impl DataSummary {
    pub(crate) fn of(examples: &[Example], n_labels: usize) -> Self {
        let mut n_by_label = vec![0; n_labels];
        let all = examples.iter().flat_map(|example| example.target.labels());
        all.for_each(|label| n_by_label[*label] += 1);
        let figures = Figures::of(examples);
        if figures.is_some() {
            n_by_label.clear();
        }
        let (digest, n_examples) = (dataset::digest(examples), examples.len());
        Self { digest, n_examples, n_by_label, figures }
    }
}

impl Figures {
    fn of(examples: &[Example]) -> Option<Self> {
        let value = |example: &Example| match example.target {
            Target::Value(value) => Some(value),
            _ => None,
        };
        let values: Vec<f64> = examples.iter().filter_map(value).collect();
        let first = *values.first()?;
        let mean_of = |of: &dyn Fn(f64) -> f64| {
            values.iter().map(|value| of(*value)).sum::<f64>() / values.len() as f64
        };
        let mean = mean_of(&|value| value);
        Some(Self {
            least: values.iter().copied().fold(first, f64::min),
            largest: values.iter().copied().fold(first, f64::max),
            mean,
            variance: mean_of(&|value| (value - mean).powi(2)),
        })
    }
}

fn single_label() -> String {
    checkpoint::Task::SingleLabel.name().to_owned()
}

/// Versions of what the weights depend on.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let versions = [("kit-trainer", env!("CARGO_PKG_VERSION")), ("burn", BURN)];
    versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into()
}

/// The digest as text, `sha256:` before it.
pub(crate) fn sha256_text(hasher: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burns_version_is_the_locked_one() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        let lock = fs_err::read_to_string(lock).expect("the workspace has a lock file");
        assert!(lock.contains(&format!("name = \"burn\"\nversion = \"{BURN}\"")));
    }
}
