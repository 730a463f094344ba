//! What a classifier gets right.

#[cfg(test)]
mod golden;
mod mistakes;
mod multi;
mod ranks;
mod regression;
mod single;

use std::collections::BTreeMap;

use checkpoint::Task;
use serde::{Deserialize, Serialize};

pub use self::mistakes::Mistake;
pub use self::multi::{Averages, MultiLabel, ThresholdScore};
pub(crate) use self::multi::{HALF, Thresholds};
pub use self::regression::Regression;
pub use self::single::{Calibration, CalibrationBin, LabelScore, SingleLabel};
use crate::classifier::Classifier;
use crate::dataset::{Example, Target};
use crate::error::{Error, Result};
use crate::train::Listener;

/// How a classifier does on labelled text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The examples that were classified.
    pub n_examples: usize,
    /// Those of which a part was cut off, because the network takes no longer texts.
    #[serde(default)]
    pub n_cut: usize,
    /// The mean cross-entropy, in nats: that of the right label, or over all labels where each is
    /// right or wrong for itself; of figures the mean squared error.
    pub loss: f64,
    /// What fits what is classified.
    #[serde(flatten)]
    pub scores: Scores,
    /// The examples that it gets most wrong, the worst first; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistake>,
}

/// Figures that fit a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task")]
pub enum Scores {
    /// One of the labels is right.
    #[serde(rename = "single_label_classification")]
    SingleLabel(SingleLabel),
    /// Each label is right or wrong for itself.
    #[serde(rename = "multi_label_classification")]
    MultiLabel(MultiLabel),
    /// The answer is a figure.
    #[serde(rename = "regression")]
    Regression(Regression),
}

impl Evaluation {
    /// The share of examples that were given what is right and nothing else, from 0 to 1; none of
    /// figures.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        match &self.scores {
            Scores::SingleLabel(single) => Some(single.accuracy),
            Scores::MultiLabel(multi) => Some(multi.exact_match),
            Scores::Regression(_) => None,
        }
    }

    /// Its main figures by their names, as they are shown in short.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let mut figures = match &self.scores {
            Scores::SingleLabel(single) => {
                vec![("accuracy", single.accuracy), ("macro F1", single.macro_f1)]
            }
            Scores::MultiLabel(multi) => vec![
                ("micro F1", multi.micro.f1),
                ("macro F1", multi.by_label.f1),
                ("exact match", multi.exact_match),
            ],
            Scores::Regression(regression) => {
                vec![("RMSE", regression.rmse), ("MAE", regression.mae)]
            }
        };
        if let Scores::Regression(Regression { r2, spearman, .. }) = self.scores {
            figures.extend(r2.map(|r2| ("R²", r2)));
            figures.extend(spearman.map(|spearman| ("Spearman", spearman)));
        }
        figures
    }

    /// The same for documents that programs read: `accuracy`, `macro_f1`, `rmse`, `r2` and so on.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let key = |name: &str| name.to_lowercase().replace(' ', "_").replace('²', "2");
        self.figures().into_iter().map(|(name, value)| (key(name), value)).collect()
    }

    /// What is better has more of the first, or as much and more of the second: accuracy, micro F1
    /// or a small error, then a small loss.
    pub(crate) fn rank(&self) -> [f64; 2] {
        let first = match &self.scores {
            Scores::SingleLabel(single) => single.accuracy,
            Scores::MultiLabel(multi) => multi.micro.f1,
            Scores::Regression(regression) => -regression.mse,
        };
        [first, -self.loss]
    }

    /// The thresholds that were chosen, or were given.
    pub(crate) fn thresholds(&self) -> Option<Vec<f64>> {
        let Scores::MultiLabel(multi) = &self.scores else { return None };
        Some(multi.labels.iter().map(|label| label.threshold).collect())
    }
}

/// Classifies the examples and compares; returns the logits of each example too.
/// `on` hears after each batch how many examples are done, and ends it with [`Error::Cancelled`]
/// when it answers `Break`.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::path::Path;
///
/// use kit_trainer::{Classifier, DeviceKind, Example, evaluate};
///
/// let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-distilbert");
/// let classifier = Classifier::load(&dir, DeviceKind::Flex)?;
/// let examples = [Example::labelled("a wonderful film", 1)];
/// let (evaluation, logits) =
///     evaluate(&classifier, &examples, &|_| ControlFlow::Continue(()))?;
/// assert_eq!((evaluation.n_examples, logits.len()), (1, 1));
/// # Ok::<(), kit_trainer::Error>(())
/// ```
pub fn evaluate(
    classifier: &Classifier,
    examples: &[Example],
    on: Listener<'_, usize>,
) -> Result<(Evaluation, Vec<Vec<f32>>)> {
    check_examples(examples, classifier.labels(), classifier.task())?;
    let (logits, n_cut) = classifier.classify_heard(examples, on)?;
    let thresholds = classifier.thresholds();
    let of = Measuring {
        task: classifier.task(),
        labels: classifier.labels(),
        thresholds: Thresholds::Given(&thresholds),
    };
    Ok((of.measure(&logits, n_cut, examples), logits))
}

/// There are examples, and each has a target that the classifier can have.
pub(crate) fn check_examples(examples: &[Example], labels: &[String], task: Task) -> Result<()> {
    if examples.is_empty() {
        return Err(Error::NoExamples);
    }
    match (labels, task) {
        ([], _) => return Err(Error::NoLabels),
        ([label], _) if examples.iter().any(|one| matches!(one.target, Target::Label(_))) => {
            return Err(Error::OneLabel { label: label.clone() });
        }
        ([_, _, ..], Task::Regression) => return Err(Error::Figures { n_labels: labels.len() }),
        _ => (),
    }
    let is_of_the_task = |example: &&Example| match &example.target {
        Target::Label(_) => task == Task::SingleLabel,
        Target::Labels(_) => task == Task::MultiLabel,
        Target::Value(_) => task == Task::Regression,
    };
    if !examples.iter().all(|example| is_of_the_task(&example)) {
        return Err(Error::OtherTask { task: task.name() });
    }
    let mut all = examples.iter().flat_map(|example| example.target.labels());
    match all.find(|label| **label >= labels.len()) {
        Some(label) => {
            Err(Error::UnknownLabel { label: format!("LABEL_{label}"), known: labels.to_vec() })
        }
        None => Ok(()),
    }
}

/// The labels that are given by logits.
pub(crate) fn given(task: Task, logits: &[f32], thresholds: &[f64]) -> Vec<usize> {
    match task {
        Task::SingleLabel => vec![single::largest(logits)],
        Task::MultiLabel => (0..logits.len())
            .filter(|label| multi::sigmoid(logits[*label]) >= thresholds[*label])
            .collect(),
        Task::Regression => Vec::new(),
    }
}

/// What is compared with what is right.
pub(crate) struct Measuring<'a> {
    pub(crate) task: Task,
    pub(crate) labels: &'a [String],
    pub(crate) thresholds: Thresholds<'a>,
}

impl Measuring<'_> {
    /// Compares logits with targets; `n_cut`: texts that were too long.
    pub(crate) fn measure(
        &self,
        logits: &[Vec<f32>],
        n_cut: usize,
        examples: &[Example],
    ) -> Evaluation {
        let (loss, scores, mistakes) = match self.task {
            Task::SingleLabel => {
                let (loss, single) = single::measure(logits, examples, self.labels);
                let mistakes = single::mistakes(logits, examples, self.labels);
                (loss, Scores::SingleLabel(single), mistakes)
            }
            Task::MultiLabel => {
                let (loss, multi) = multi::measure(logits, examples, self.labels, self.thresholds);
                let mistakes = multi::mistakes(logits, examples, &multi);
                (loss, Scores::MultiLabel(multi), mistakes)
            }
            Task::Regression => {
                let regression = regression::measure(logits, examples);
                let mistakes = regression::mistakes(logits, examples);
                (regression.mse, Scores::Regression(regression), mistakes)
            }
        };
        Evaluation { n_examples: examples.len(), n_cut, loss, scores, mistakes }
    }
}
