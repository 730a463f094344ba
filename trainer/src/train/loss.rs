//! Cross-entropy with label smoothing and class weights.

use serde::{Deserialize, Serialize};

use crate::dataset::Example;

/// How much each label counts in the loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// Every example as much as any other.
    #[default]
    Equal,
    /// Every label as much as any other, however many examples it has: `n_examples / (n_labels ×
    /// n_of_this_label)`.
    Balanced,
    /// These, in the order of the labels.
    Given(Vec<f64>),
}

/// What the loss of a step is made of.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    smoothing: f64,
    /// One a label.
    weights: Vec<f64>,
}

impl Loss {
    pub(super) fn new(
        smoothing: f64,
        weights: &ClassWeights,
        examples: &[Example],
        n_labels: usize,
    ) -> Self {
        let weights = match weights {
            ClassWeights::Equal => vec![1.0; n_labels],
            ClassWeights::Balanced => balanced(examples, n_labels),
            ClassWeights::Given(weights) => weights.clone(),
        };
        Self { smoothing, weights }
    }

    /// What the losses of a step's examples are divided by.
    pub(super) fn total(&self, labels: &[usize]) -> f64 {
        labels.iter().map(|label| self.weights[*label]).sum()
    }

    /// The weighted mean of the negative log-likelihoods, and its gradient by the logits, `[batch,
    /// labels]` both; `total`: of the whole step. Same as `torch.nn.functional.cross_entropy` with
    /// `weight` and `label_smoothing`.
    ///
    /// In `f64` and with functions of our own build, so that no library or instruction of the
    /// machine has a say in the bits.
    pub(super) fn of(&self, logits: &[f32], labels: &[usize], total: f64) -> (f64, Vec<f32>) {
        let n_labels = logits.len() / labels.len();
        let spread = self.smoothing / n_labels as f64;
        let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
        for (row, label) in logits.chunks_exact(n_labels).zip(labels) {
            let wanted = |other: usize| {
                let share = if other == *label { 1.0 - self.smoothing } else { 0.0 };
                (share * self.weights[*label] + spread * self.weights[other]) / total
            };
            let highest = f64::from(row.iter().copied().fold(f32::MIN, f32::max));
            let powers: Vec<f64> =
                row.iter().map(|logit| libm::exp(f64::from(*logit) - highest)).collect();
            let sum: f64 = powers.iter().sum();
            let all: f64 = (0..n_labels).map(wanted).sum();
            for (other, (logit, power)) in row.iter().zip(&powers).enumerate() {
                loss -= wanted(other) * (f64::from(*logit) - highest - libm::log(sum));
                gradient.push((all * power / sum - wanted(other)) as f32);
            }
        }
        (loss, gradient)
    }
}

fn balanced(examples: &[Example], n_labels: usize) -> Vec<f64> {
    let mut counts = vec![0_usize; n_labels];
    examples.iter().for_each(|example| counts[example.label] += 1);
    let n = examples.len() as f64;
    // A label without examples never occurs in the loss.
    counts.iter().map(|count| n / (n_labels as f64 * (*count).max(1) as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `torch.nn.functional.cross_entropy`, from `testdata/loss.py`.
    #[test]
    fn the_loss_is_pytorchs() {
        let logits = [2.0_f32, -1.0, 0.5, 0.1, 0.2, 0.3, -1.5, 3.0, 0.0, 1.0, 1.0, -2.0];
        let labels = [0, 2, 1, 1];
        let check = |smoothing, weights: &ClassWeights, expected: f64| {
            let loss = Loss::new(smoothing, weights, &[], 3);
            let (value, gradient) = loss.of(&logits, &labels, loss.total(&labels));
            assert!((value - expected).abs() < 1e-8, "{value} {expected}");
            for (at, slope) in gradient.iter().enumerate() {
                let mut moved = logits;
                moved[at] += 1e-3;
                let secant = (loss.of(&moved, &labels, loss.total(&labels)).0 - value) / 1e-3;
                assert!((f64::from(*slope) - secant).abs() < 2e-4, "{at}: {slope} {secant}");
            }
        };
        let weights = ClassWeights::Given(vec![0.5, 2.0, 1.5]);
        check(0.0, &ClassWeights::Equal, EXPECTED[0]);
        check(0.0, &weights, EXPECTED[1]);
        check(0.1, &ClassWeights::Equal, EXPECTED[2]);
        check(0.1, &weights, EXPECTED[3]);
    }

    const EXPECTED: [f64; 4] = [0.505_025_990, 0.529_544_925, 0.632_525_990, 0.631_481_631];

    #[test]
    fn balanced_weights_are_those_of_a_case_counted_by_hand() {
        let example = |label| Example { text: String::new(), label };
        let weights = balanced(&[example(0), example(0), example(0), example(1)], 2);
        assert_eq!(weights, [4.0 / 6.0, 2.0]);
    }
}
