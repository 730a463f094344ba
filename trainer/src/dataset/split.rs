//! Examples to learn from, and examples that are held out.

use super::Example;
use crate::random::{Purpose, shuffle, stream};

/// Examples to learn from, and examples that are held out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// What the classifier learns from.
    pub train: Vec<Example>,
    /// What it never sees; where this is empty, training is measured on `train` itself.
    pub validation: Vec<Example>,
}

/// Of each label the same share; both halves keep the order of the examples.
pub(super) fn split(examples: &[Example], n_labels: usize, fraction: f64, seed: u64) -> Split {
    let mut is_held_out = vec![false; examples.len()];
    for label in 0..n_labels {
        let numbers = examples.iter().enumerate().filter(|(_, example)| example.label == label);
        let mut numbers: Vec<usize> = numbers.map(|(number, _)| number).collect();
        shuffle(&mut numbers, &mut stream(seed, Purpose::Split, label as u64));
        let n_held_out = share(numbers.len(), fraction);
        numbers[..n_held_out].iter().for_each(|number| is_held_out[*number] = true);
    }
    let half = |held_out| {
        let chosen = examples.iter().zip(&is_held_out).filter(move |(_, is)| **is == held_out);
        chosen.map(|(example, _)| example.clone()).collect()
    };
    Split { train: half(false), validation: half(true) }
}

/// A share of some examples, but never all of them, and never none where a share was asked for.
fn share(n: usize, fraction: f64) -> usize {
    if n < 2 || fraction <= 0.0 {
        return 0;
    }
    let share = (n as f64 * fraction).round() as usize;
    share.clamp(1, n - 1)
}
