//! One label is right: accuracy, confusion, calibration.

use serde::{Deserialize, Serialize};

use super::mistakes::{Mistake, Wrong, worst};
use crate::dataset::Example;

/// How a classifier of single labels does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SingleLabel {
    /// The share whose label was found, from 0 to 1.
    pub accuracy: f64,
    /// The mean over all labels of the harmonic mean of precision and recall; labels that neither
    /// occur nor are given do not count.
    pub macro_f1: f64,
    /// Each label for itself.
    pub labels: Vec<LabelScore>,
    /// `confusion[true label][given label]`: how many examples.
    pub confusion: Vec<Vec<usize>>,
    /// Whether the classifier is as sure as it is right.
    #[serde(default)]
    pub calibration: Calibration,
}

/// How a classifier does on one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// Of the examples that were given the label, the share that has it.
    pub precision: f64,
    /// Of the examples that have the label, the share that was given it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// The examples that have the label.
    pub n_examples: usize,
}

/// Whether a classifier is as sure as it is right.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// The expected calibration error: the mean over all examples of how far their bin's accuracy
    /// is from its confidence.
    pub expected_error: f64,
    /// Ten bins of equal width, from the least sure to the surest.
    pub bins: Vec<CalibrationBin>,
}

/// The examples whose highest score lies in a tenth of the range from 0 to 1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// How many.
    pub n_examples: usize,
    /// The mean of their highest scores.
    pub confidence: f64,
    /// The share that was right.
    pub accuracy: f64,
}

/// Compares logits with labels; returns the mean cross-entropy too.
pub(super) fn measure(
    logits: &[Vec<f32>],
    examples: &[Example],
    labels: &[String],
) -> (f64, SingleLabel) {
    let n = labels.len();
    let mut confusion = vec![vec![0; n]; n];
    let mut loss = 0.0;
    for (row, example) in logits.iter().zip(examples) {
        let label = right(example);
        confusion[label][largest(row)] += 1;
        loss += cross_entropy(row, label);
    }
    let sureness: Vec<f64> = logits.iter().map(|row| highest_score(row)).collect();
    let is_right: Vec<bool> =
        logits.iter().zip(examples).map(|(row, example)| largest(row) == right(example)).collect();
    let labels: Vec<LabelScore> =
        labels.iter().enumerate().map(|(n, label)| score(label, n, &confusion)).collect();
    let found: usize = (0..n).map(|n| confusion[n][n]).sum();
    let counted = labels.iter().enumerate().filter(|(n, _)| occurs(*n, &confusion));
    let f1s: Vec<f64> = counted.map(|(_, score)| score.f1).collect();
    let single = SingleLabel {
        accuracy: found as f64 / examples.len() as f64,
        macro_f1: f1s.iter().sum::<f64>() / f1s.len() as f64,
        labels,
        confusion,
        calibration: calibration(&sureness, &is_right),
    };
    (loss / examples.len() as f64, single)
}

/// Those that are wrong, by how sure the classifier was.
pub(super) fn mistakes(
    logits: &[Vec<f32>],
    examples: &[Example],
    labels: &[String],
) -> Vec<Mistake> {
    worst(examples, |n, example| {
        let given = largest(&logits[n]);
        let score = highest_score(&logits[n]);
        (given != right(example)).then(|| Wrong {
            label: labels[right(example)].clone(),
            given: labels[given].clone(),
            score,
            by: score,
        })
    })
}

fn right(example: &Example) -> usize {
    example.target.labels()[0]
}

/// Source: "On Calibration of Modern Neural Networks", section 2.
fn calibration(sureness: &[f64], is_right: &[bool]) -> Calibration {
    const BINS: usize = 10;
    let mut bins = vec![CalibrationBin::default(); BINS];
    for (sure, is_right) in sureness.iter().zip(is_right) {
        let bin = &mut bins[((sure * BINS as f64) as usize).min(BINS - 1)];
        bin.n_examples += 1;
        bin.confidence += sure;
        bin.accuracy += f64::from(u8::from(*is_right));
    }
    let mut error = 0.0;
    for bin in bins.iter_mut().filter(|bin| bin.n_examples > 0) {
        error += (bin.accuracy - bin.confidence).abs() / sureness.len() as f64;
        bin.confidence /= bin.n_examples as f64;
        bin.accuracy /= bin.n_examples as f64;
    }
    Calibration { expected_error: error, bins }
}

/// The largest score of a row: after softmax.
fn highest_score(row: &[f32]) -> f64 {
    let highest = f64::from(row[largest(row)]);
    1.0 / row.iter().map(|logit| libm::exp(f64::from(*logit) - highest)).sum::<f64>()
}

fn score(label: &str, n: usize, confusion: &[Vec<usize>]) -> LabelScore {
    let found = confusion[n][n];
    let have: usize = confusion[n].iter().sum();
    let given: usize = confusion.iter().map(|row| row[n]).sum();
    let share = |of: usize| if of == 0 { 0.0 } else { found as f64 / of as f64 };
    let (precision, recall) = (share(given), share(have));
    let f1 = if found == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
    LabelScore { label: label.to_owned(), precision, recall, f1, n_examples: have }
}

fn occurs(n: usize, confusion: &[Vec<usize>]) -> bool {
    confusion[n].iter().any(|count| *count > 0) || confusion.iter().any(|row| row[n] > 0)
}

/// The place of the largest logit; of equal ones the first.
pub(super) fn largest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, n| if row[n] > row[best] { n } else { best })
}

fn cross_entropy(row: &[f32], label: usize) -> f64 {
    let highest = f64::from(row[largest(row)]);
    let sum: f64 = row.iter().map(|logit| libm::exp(f64::from(*logit) - highest)).sum();
    libm::log(sum) + highest - f64::from(row[label])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_a_case_counted_by_hand() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let example = |label| Example::labelled("", label);
        let examples = [example(0), example(0), example(1), example(1)];
        let logits =
            [vec![2.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 3.0, 0.0], vec![0.0, 5.0, 1.0]];
        let (found_loss, evaluation) = measure(&logits, &examples, &labels);
        assert_eq!(evaluation.accuracy, 0.75);
        assert_eq!(evaluation.confusion, [[1, 1, 0], [0, 2, 0], [0, 0, 0]]);
        assert_eq!(evaluation.labels[0].precision, 1.0);
        assert_eq!(evaluation.labels[0].recall, 0.5);
        assert!((evaluation.labels[1].f1 - 0.8).abs() < 1e-12);
        // c neither occurs nor is given: (2/3 + 4/5) / 2.
        assert!((evaluation.macro_f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        let one = |row: [f64; 3], label: usize| {
            row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[label]
        };
        let loss = one([2.0, 0.0, 0.0], 0)
            + one([0.0, 1.0, 0.0], 0)
            + one([0.0, 3.0, 0.0], 1)
            + one([0.0, 5.0, 1.0], 1);
        assert!((found_loss - loss / 4.0).abs() < 1e-12);
        let sure = |row: [f64; 3], given: usize| {
            row[given].exp() / row.iter().map(|v| v.exp()).sum::<f64>()
        };
        let wrong = sure([0.0, 1.0, 0.0], 1);
        let [mistake] = &mistakes(&logits, &examples, &labels)[..] else { panic!("one is wrong") };
        assert_eq!((mistake.label.as_str(), mistake.given.as_str()), ("a", "b"));
        assert!((mistake.score - wrong).abs() < 1e-12);
        // 0.576 is wrong, and alone in its bin; 0.787 is right; 0.909 and 0.976 share the last bin
        // and are right.
        let right = [sure([2.0, 0.0, 0.0], 0), sure([0.0, 3.0, 0.0], 1), sure([0.0, 5.0, 1.0], 1)];
        let expected = (wrong + right.iter().map(|sure| 1.0 - sure).sum::<f64>()) / 4.0;
        assert!((evaluation.calibration.expected_error - expected).abs() < 1e-12);
        let counts: Vec<usize> =
            evaluation.calibration.bins.iter().map(|bin| bin.n_examples).collect();
        assert_eq!(counts, [0, 0, 0, 0, 0, 1, 0, 1, 0, 2]);
    }
}
