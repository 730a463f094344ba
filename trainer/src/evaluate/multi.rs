//! Each label is right or wrong for itself.
//!
//! Names and figures are those of `precision_recall_fscore_support`, `accuracy_score`,
//! `hamming_loss` and `roc_auc_score` in scikit-learn, with `zero_division=0`.

use serde::{Deserialize, Serialize};

use super::mistakes::{Mistake, Wrong, worst};
use super::ranks::ranks;
use crate::dataset::Example;

/// How a classifier of several labels at once does. A label is given where its score reaches its
/// threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabel {
    /// The share of examples that were given their labels and no others, from 0 to 1.
    pub exact_match: f64,
    /// The share of wrong answers, over all labels of all examples.
    pub hamming_loss: f64,
    /// Over all labels of all examples together.
    pub micro: Averages,
    /// The mean over the labels.
    #[serde(rename = "macro")]
    pub by_label: Averages,
    /// The mean over the examples.
    pub samples: Averages,
    /// The mean over the labels that some examples have and others do not, of how often an example
    /// with it has a higher score than one without.
    pub roc_auc: Option<f64>,
    /// Each label for itself.
    pub labels: Vec<ThresholdScore>,
}

/// Precision, recall, and their harmonic mean.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Averages {
    /// What share of what was given is right.
    pub precision: f64,
    /// What share of what is right was given.
    pub recall: f64,
    /// The harmonic mean of both, or the mean of such means.
    pub f1: f64,
}

/// How a classifier does on one label that is right or wrong for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdScore {
    /// The label.
    pub label: String,
    /// The score from which on it is given, from 0 to 1.
    pub threshold: f64,
    /// Precision, recall and F1.
    #[serde(flatten)]
    pub figures: Averages,
    /// How often an example with it has a higher score than one without; none where all have it, or
    /// none has.
    pub roc_auc: Option<f64>,
    /// The examples that have the label.
    pub n_examples: usize,
}

/// Where the thresholds come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thresholds<'a> {
    /// One a label.
    Given(&'a [f64]),
    /// From what is measured: those with the best F1.
    Chosen,
}

/// What was right, and what was given, of some decisions.
#[derive(Default)]
struct Counts {
    both: usize,
    given: usize,
    right: usize,
}

impl Counts {
    fn add(&mut self, given: bool, right: bool) {
        self.both += usize::from(given && right);
        self.given += usize::from(given);
        self.right += usize::from(right);
    }

    fn figures(&self) -> Averages {
        let share = |of: usize| if of == 0 { 0.0 } else { self.both as f64 / of as f64 };
        let all = self.given + self.right;
        let f1 = if all == 0 { 0.0 } else { 2.0 * self.both as f64 / all as f64 };
        Averages { precision: share(self.given), recall: share(self.right), f1 }
    }
}

/// Compares logits with labels; returns the mean binary cross-entropy too.
pub(super) fn measure(
    logits: &[Vec<f32>],
    examples: &[Example],
    labels: &[String],
    thresholds: Thresholds<'_>,
) -> (f64, MultiLabel) {
    let columns: Vec<Column> =
        (0..labels.len()).map(|label| Column::of(logits, examples, label)).collect();
    let thresholds: Vec<f64> = match thresholds {
        Thresholds::Given(thresholds) => thresholds.to_vec(),
        Thresholds::Chosen => columns.iter().map(Column::threshold).collect(),
    };
    let mut by_label: Vec<Counts> = labels.iter().map(|_| Counts::default()).collect();
    let (mut all, mut by_example) = (Counts::default(), Vec::new());
    let (mut n_exact, mut n_wrong, mut loss) = (0, 0, 0.0);
    for (n, row) in logits.iter().enumerate() {
        let (mut example, mut n_wrong_here) = (Counts::default(), 0);
        for (label, column) in columns.iter().enumerate() {
            let (given, right) = (column.scores[n] >= thresholds[label], column.right[n]);
            [&mut by_label[label], &mut all, &mut example]
                .into_iter()
                .for_each(|counts| counts.add(given, right));
            n_wrong_here += usize::from(given != right);
            loss += binary_cross_entropy(row[label], right);
        }
        n_exact += usize::from(n_wrong_here == 0);
        n_wrong += n_wrong_here;
        by_example.push(example.figures());
    }
    let (n_examples, n_decisions) = (examples.len() as f64, (examples.len() * labels.len()) as f64);
    let aucs: Vec<Option<f64>> = columns.iter().map(Column::roc_auc).collect();
    let defined: Vec<f64> = aucs.iter().copied().flatten().collect();
    let of_labels: Vec<Averages> = by_label.iter().map(Counts::figures).collect();
    let scores = labels.iter().enumerate().map(|(n, label)| ThresholdScore {
        label: label.clone(),
        threshold: thresholds[n],
        figures: of_labels[n],
        roc_auc: aucs[n],
        n_examples: by_label[n].right,
    });
    let multi = MultiLabel {
        exact_match: n_exact as f64 / n_examples,
        hamming_loss: n_wrong as f64 / n_decisions,
        micro: all.figures(),
        by_label: mean(&of_labels),
        samples: mean(&by_example),
        roc_auc: (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64),
        labels: scores.collect(),
    };
    (loss / n_decisions, multi)
}

/// Those with wrong labels, by how wrong the worst is.
pub(super) fn mistakes(
    logits: &[Vec<f32>],
    examples: &[Example],
    multi: &MultiLabel,
) -> Vec<Mistake> {
    worst(examples, |n, example| {
        let scores: Vec<f64> = logits[n].iter().map(|logit| sigmoid(*logit)).collect();
        let is_given = |label: usize| scores[label] >= multi.labels[label].threshold;
        let named = |is_in: &dyn Fn(usize) -> bool| {
            let labels = multi.labels.iter().enumerate().filter(|(label, _)| is_in(*label));
            labels.map(|(_, score)| score.label.as_str()).collect::<Vec<_>>().join(", ")
        };
        let is_wrong = |label: &usize| is_given(*label) != example.target.has(*label);
        let distance =
            |label: usize| (scores[label] - f64::from(u8::from(example.target.has(label)))).abs();
        let by = |a: &usize, b: &usize| distance(*a).total_cmp(&distance(*b));
        let most = (0..scores.len()).filter(is_wrong).max_by(by)?;
        Some(Wrong {
            label: named(&|label| example.target.has(label)),
            given: named(&is_given),
            score: scores[most],
            by: distance(most),
        })
    })
}

fn mean(figures: &[Averages]) -> Averages {
    let of =
        |take: fn(&Averages) -> f64| figures.iter().map(take).sum::<f64>() / figures.len() as f64;
    Averages {
        precision: of(|figures| figures.precision),
        recall: of(|figures| figures.recall),
        f1: of(|figures| figures.f1),
    }
}

/// One label of all examples.
struct Column {
    scores: Vec<f64>,
    right: Vec<bool>,
}

impl Column {
    fn of(logits: &[Vec<f32>], examples: &[Example], label: usize) -> Self {
        Self {
            scores: logits.iter().map(|row| sigmoid(row[label])).collect(),
            right: examples.iter().map(|example| example.target.has(label)).collect(),
        }
    }

    /// The area under the curve, by the ranks of those that have the label: Mann and Whitney's U.
    fn roc_auc(&self) -> Option<f64> {
        let n_right = self.right.iter().filter(|right| **right).count();
        let n_others = self.right.len() - n_right;
        if n_right == 0 || n_others == 0 {
            return None;
        }
        let ranks = ranks(&self.scores);
        let of_right = ranks.iter().zip(&self.right).filter(|(_, right)| **right);
        let sum: f64 = of_right.map(|(rank, _)| rank).sum();
        let (n_right, n_others) = (n_right as f64, n_others as f64);
        Some((sum - n_right * (n_right + 1.0) / 2.0) / (n_right * n_others))
    }

    /// The threshold with the best F1, of equal ones the one nearest to a half; a half where no
    /// example has the label. It has six digits at most, so that it is the same wherever it is
    /// written down, and lies between two scores.
    fn threshold(&self) -> f64 {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|a, b| self.scores[*b].total_cmp(&self.scores[*a]));
        let n_right = self.right.iter().filter(|right| **right).count();
        let (mut best, mut counts) = ((0.0, HALF), Counts { right: n_right, ..Counts::default() });
        for (n, at) in order.iter().enumerate() {
            counts.add(true, self.right[*at]);
            // Counted before, all of them.
            counts.right = n_right;
            let below = order.get(n + 1).map_or(0.0, |next| self.scores[*next]);
            let Some(threshold) = between(below, self.scores[*at]) else { continue };
            let f1 = counts.figures().f1;
            let is_nearer = (threshold - HALF).abs() < (best.1 - HALF).abs();
            if f1 > best.0 || (f1 == best.0 && f1 > 0.0 && is_nearer) {
                best = (f1, threshold);
            }
        }
        best.1
    }
}

/// Where nobody has chosen.
pub(crate) const HALF: f64 = 0.5;

/// The shortest number between two scores, a half if that is one; none where they are too close.
fn between(below: f64, above: f64) -> Option<f64> {
    let fits = |threshold: &f64| below < *threshold && *threshold < above;
    let middle = f64::midpoint(below, above);
    let rounded = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6].map(|scale| (middle * scale).round() / scale);
    [HALF].into_iter().chain(rounded).find(fits)
}

pub(super) fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + libm::exp(-f64::from(logit)))
}

/// In a form that neither overflows nor loses small numbers.
fn binary_cross_entropy(logit: f32, right: bool) -> f64 {
    let logit = f64::from(logit);
    let wanted = if right { logit } else { 0.0 };
    logit.max(0.0) - wanted + libm::log1p(libm::exp(-logit.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(scores: &[f64], right: &[u8]) -> Column {
        Column { scores: scores.to_vec(), right: right.iter().map(|right| *right == 1).collect() }
    }

    #[test]
    fn a_threshold_has_the_best_f1_and_few_digits() {
        assert_eq!(column(&[0.31, 0.2, 0.35, 0.1], &[1, 0, 1, 0]).threshold(), 0.3);
        assert_eq!(column(&[0.9, 0.2, 0.7, 0.8], &[1, 0, 0, 1]).threshold(), 0.75);
        assert_eq!(column(&[0.9, 0.2], &[1, 0]).threshold(), HALF, "it is one of the best");
        assert_eq!(column(&[0.9, 0.2], &[0, 0]).threshold(), HALF, "there is nothing to choose by");
        assert_eq!(column(&[0.9, 0.7], &[1, 1]).threshold(), HALF);
        // A cut between scores that are equal is none.
        assert_eq!(column(&[0.3, 0.3, 0.1], &[1, 0, 0]).threshold(), 0.2);
        assert_eq!(between(0.123_456_1, 0.123_456_9), None);
        assert_eq!(between(0.123_455_9, 0.123_456_9), Some(0.123_456));
    }
}
