//! Examples to learn from, and examples that are held out.

use super::{Example, Target};
use crate::random::{Purpose, shuffle, stream};

/// Examples to learn from, and examples that are held out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Split {
    /// What the classifier learns from.
    pub train: Vec<Example>,
    /// What it never sees; where this is empty, training is measured on `train` itself.
    pub validation: Vec<Example>,
}

/// Of each label the same share; both halves keep the order of the examples.
pub(super) fn split(examples: &[Example], n_labels: usize, fraction: f64, seed: u64) -> Split {
    let groups = groups(examples, n_labels);
    let mut is_held_out = vec![false; examples.len()];
    for group in 0..=n_labels {
        let numbers = groups.iter().enumerate().filter(|(_, found)| **found == group);
        let mut numbers: Vec<usize> = numbers.map(|(number, _)| number).collect();
        shuffle(&mut numbers, &mut stream(seed, Purpose::Split, group as u64));
        let n_held_out = share(numbers.len(), fraction);
        numbers[..n_held_out].iter().for_each(|number| is_held_out[*number] = true);
    }
    let half = |held_out| {
        let chosen = examples.iter().zip(&is_held_out).filter(move |(_, is)| **is == held_out);
        chosen.map(|(example, _)| example.clone()).collect()
    };
    Split { train: half(false), validation: half(true) }
}

/// The label by which an example is counted: of several the rarest, so that the rare ones are on
/// both sides; those without any are a group of their own.
fn groups(examples: &[Example], n_labels: usize) -> Vec<usize> {
    let mut counts = vec![0_usize; n_labels];
    examples
        .iter()
        .flat_map(|example| example.target.labels())
        .for_each(|label| counts[*label] += 1);
    let group = |example: &Example| match &example.target {
        Target::Label(label) => *label,
        Target::Labels(labels) => {
            labels.iter().copied().min_by_key(|label| counts[*label]).unwrap_or(n_labels)
        }
        Target::Value(_) => n_labels,
    };
    examples.iter().map(group).collect()
}

/// A share of some examples, but never all of them, and never none where a share was asked for.
fn share(n: usize, fraction: f64) -> usize {
    if n < 2 || fraction <= 0.0 {
        return 0;
    }
    let share = (n as f64 * fraction).round() as usize;
    share.clamp(1, n - 1)
}
