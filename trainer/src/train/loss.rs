//! What is made small: cross-entropy, binary cross-entropy or squared errors.
//!
//! In `f64` and with functions of our own build, so that no library or instruction of the machine
//! has a say in the bits.

use checkpoint::Task;
use serde::{Deserialize, Serialize};

use crate::dataset::{Example, Target};

/// How much each label counts in the loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// Every example as much as any other.
    #[default]
    Equal,
    /// Every label as much as any other, however many examples it has: `n_examples / (n_labels ×
    /// n_of_this_label)`. Where several may be right, those that have a label count as much as
    /// those that do not: `n_without / n_with`.
    Balanced,
    /// These, in the order of the labels; where several may be right, of the examples that have
    /// them.
    Given(Vec<f64>),
}

/// What the loss of a step is made of.
#[derive(Debug, Clone)]
pub(super) enum Loss {
    /// Same as `torch.nn.functional.cross_entropy` with `weight` and `label_smoothing`.
    CrossEntropy {
        smoothing: f64,
        /// One a label.
        weights: Vec<f64>,
    },
    /// Same as `torch.nn.BCEWithLogitsLoss` with `pos_weight`: the mean over all labels of all
    /// examples.
    Binary {
        /// One a label, of the examples that have it.
        weights: Vec<f64>,
    },
    /// Same as `torch.nn.MSELoss`.
    Squares,
}

impl Loss {
    pub(super) fn new(
        task: Task,
        smoothing: f64,
        weights: &ClassWeights,
        examples: &[Example],
        n_labels: usize,
    ) -> Self {
        let with = |balanced: fn(f64, f64, f64) -> f64| match weights {
            ClassWeights::Equal => vec![1.0; n_labels],
            ClassWeights::Balanced => weighed(examples, n_labels, balanced),
            ClassWeights::Given(weights) => weights.clone(),
        };
        match task {
            Task::SingleLabel => Self::CrossEntropy {
                smoothing,
                weights: with(|n, n_labels, n_of_this| n / (n_labels * n_of_this)),
            },
            Task::MultiLabel => {
                Self::Binary { weights: with(|n, _, n_of_this| (n - n_of_this) / n_of_this) }
            }
            Task::Regression => Self::Squares,
        }
    }

    /// What the losses of a step's examples are divided by.
    pub(super) fn total(&self, targets: &[&Target]) -> f64 {
        match self {
            Self::CrossEntropy { weights, .. } => {
                targets.iter().flat_map(|target| target.labels()).map(|label| weights[*label]).sum()
            }
            Self::Binary { weights } => (targets.len() * weights.len()) as f64,
            Self::Squares => targets.len() as f64,
        }
    }

    /// The mean loss of some examples, and its gradient by the logits, `[batch, labels]` both;
    /// `total`: of the whole step.
    pub(super) fn of(&self, logits: &[f32], targets: &[&Target], total: f64) -> (f64, Vec<f32>) {
        let n_labels = logits.len() / targets.len();
        let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
        for (row, target) in logits.chunks_exact(n_labels).zip(targets) {
            loss += match self {
                Self::CrossEntropy { smoothing, weights } => {
                    cross_entropy(row, target, *smoothing, weights, total, &mut gradient)
                }
                Self::Binary { weights } => binary(row, target, weights, total, &mut gradient),
                Self::Squares => squares(row, target, total, &mut gradient),
            };
        }
        (loss, gradient)
    }
}

/// The weighted negative log-likelihood of one example.
fn cross_entropy(
    row: &[f32],
    target: &Target,
    smoothing: f64,
    weights: &[f64],
    total: f64,
    gradient: &mut Vec<f32>,
) -> f64 {
    let label = target.labels()[0];
    let spread = smoothing / row.len() as f64;
    let wanted = |other: usize| {
        let share = if other == label { 1.0 - smoothing } else { 0.0 };
        (share * weights[label] + spread * weights[other]) / total
    };
    let highest = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
    let powers: Vec<f64> = row.iter().map(|logit| libm::exp(f64::from(*logit) - highest)).collect();
    let sum: f64 = powers.iter().sum();
    let all: f64 = (0..row.len()).map(wanted).sum();
    let mut loss = 0.0;
    for (other, (logit, power)) in row.iter().zip(&powers).enumerate() {
        loss -= wanted(other) * (f64::from(*logit) - highest - libm::log(sum));
        gradient.push((all * power / sum - wanted(other)) as f32);
    }
    loss
}

/// Each label for itself: that it is right with the probability that is its logit's sigmoid.
fn binary(
    row: &[f32],
    target: &Target,
    weights: &[f64],
    total: f64,
    gradient: &mut Vec<f32>,
) -> f64 {
    let mut loss = 0.0;
    for (label, (logit, weight)) in row.iter().zip(weights).enumerate() {
        let logit = f64::from(*logit);
        // The loss of a logit that should be large is that of its negative that should be small.
        let (weight, sign) = if target.has(label) { (*weight, -1.0) } else { (1.0, 1.0) };
        let small = libm::log1p(libm::exp(-logit.abs()));
        loss += weight * ((sign * logit).max(0.0) + small) / total;
        gradient.push((sign * weight / (1.0 + libm::exp(-sign * logit)) / total) as f32);
    }
    loss
}

fn squares(row: &[f32], target: &Target, total: f64, gradient: &mut Vec<f32>) -> f64 {
    let error = f64::from(row[0]) - target.value();
    gradient.push((2.0 * error / total) as f32);
    error * error / total
}

/// A weight for each label, by the number of examples, of labels, and of examples that have it.
fn weighed(examples: &[Example], n_labels: usize, of: fn(f64, f64, f64) -> f64) -> Vec<f64> {
    let mut counts = vec![0_usize; n_labels];
    let all = examples.iter().flat_map(|example| example.target.labels());
    all.for_each(|label| counts[*label] += 1);
    // A label without examples never occurs in the loss; one that all have is weighed as it is.
    let n = examples.len() as f64;
    let weight = |count: &usize| of(n, n_labels as f64, (*count).max(1) as f64);
    let some = |weight: f64| if weight > 0.0 { weight } else { 1.0 };
    counts.iter().map(weight).map(some).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Losses and gradients of PyTorch, from `testdata/loss.py`.
    #[derive(Deserialize)]
    struct Golden {
        logits: Vec<Vec<f32>>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        task: String,
        targets: Vec<Target>,
        smoothing: f64,
        weights: Option<Vec<f64>>,
        loss: f64,
        gradient: Vec<f64>,
    }

    #[test]
    fn losses_and_gradients_are_pytorchs() {
        let golden = include_bytes!("../../testdata/loss.json");
        let Golden { logits, cases } = serde_json::from_slice(golden).expect("JSON");
        assert!(cases.len() >= 8);
        for case in cases {
            let (task, n_labels) = match case.task.as_str() {
                "single" => (Task::SingleLabel, 3),
                "multi" => (Task::MultiLabel, 3),
                _ => (Task::Regression, 1),
            };
            let weights = case.weights.clone().map_or(ClassWeights::Equal, ClassWeights::Given);
            let loss = Loss::new(task, case.smoothing, &weights, &[], n_labels);
            let logits: Vec<f32> = logits.iter().flat_map(|row| row[..n_labels].to_vec()).collect();
            let targets: Vec<&Target> = case.targets.iter().collect();
            let (value, gradient) = loss.of(&logits, &targets, loss.total(&targets));
            assert!((value - case.loss).abs() < 1e-12, "{}: {value} {}", case.task, case.loss);
            assert_eq!(gradient.len(), case.gradient.len());
            for (ours, theirs) in gradient.iter().zip(&case.gradient) {
                assert!((f64::from(*ours) - theirs).abs() < 1e-7, "{}: {ours} {theirs}", case.task);
            }
        }
    }

    #[test]
    fn a_loss_stays_finite_however_large_a_logit_is() {
        let loss = Loss::new(Task::MultiLabel, 0.0, &ClassWeights::Equal, &[], 2);
        let (value, gradient) = loss.of(&[1e30, -1e30], &[&Target::Labels(vec![1])], 2.0);
        assert!(value.is_finite() && (gradient[0], gradient[1]) == (0.5, -0.5), "{value}");
    }

    #[test]
    fn balanced_weights_are_those_of_a_case_counted_by_hand() {
        let balanced = |task, examples: &[Example]| match Loss::new(
            task,
            0.0,
            &ClassWeights::Balanced,
            examples,
            2,
        ) {
            Loss::CrossEntropy { weights, .. } | Loss::Binary { weights } => weights,
            Loss::Squares => Vec::new(),
        };
        let single = [0, 0, 0, 1].map(|label| Example::labelled("", label));
        assert_eq!(balanced(Task::SingleLabel, &single), [4.0 / 6.0, 2.0]);
        let several = [vec![0], vec![0, 1], vec![], vec![0]];
        let several = several.map(|labels| Example::of("", Target::Labels(labels)));
        assert_eq!(balanced(Task::MultiLabel, &several), [1.0 / 3.0, 3.0]);
    }
}
