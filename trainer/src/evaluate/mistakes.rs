//! What a classifier gets most wrong.

use serde::{Deserialize, Serialize};

use crate::dataset::Example;

/// An example that was given something else than it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The text.
    pub text: String,
    /// The second text, where pairs are classified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// What it has: its label, its labels, its figure.
    pub label: String,
    /// What it was given.
    pub given: String,
    /// The score of what it was given, from 0 to 1; where several labels may be right, of the one
    /// that is most wrong; of a figure the distance.
    pub score: f64,
}

/// The same without its texts, and by how much it is wrong.
pub(super) struct Wrong {
    pub(super) label: String,
    pub(super) given: String,
    pub(super) score: f64,
    pub(super) by: f64,
}

/// The worst first.
pub(super) fn worst(
    examples: &[Example],
    wrong: impl Fn(usize, &Example) -> Option<Wrong>,
) -> Vec<Mistake> {
    const SHOWN: usize = 20;
    let mut found: Vec<(&Example, Wrong)> = examples
        .iter()
        .enumerate()
        .filter_map(|(n, example)| Some((example, wrong(n, example)?)))
        .collect();
    found.sort_by(|(_, a), (_, b)| b.by.total_cmp(&a.by));
    let mistake = |(example, wrong): (&Example, Wrong)| {
        let Wrong { label, given, score, .. } = wrong;
        Mistake { text: example.text.clone(), pair: example.pair.clone(), label, given, score }
    };
    found.into_iter().take(SHOWN).map(mistake).collect()
}
