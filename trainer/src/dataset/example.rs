//! A text and what it should be given.

use serde::{Deserialize, Serialize};

/// A text, or a pair of them, and what is right for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The second text, where pairs are classified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// What is right.
    pub target: Target,
}

/// What is right for a text. A label is its place among the dataset's (or the classifier's) labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// One of the labels.
    Label(usize),
    /// Some of the labels, or none, in their order.
    Labels(Vec<usize>),
    /// A figure.
    Value(f64),
}

impl Example {
    /// A text with one label.
    ///
    /// ```
    /// use kit_trainer::{Example, Target};
    ///
    /// assert_eq!(Example::labelled("a film", 1).target, Target::Label(1));
    /// ```
    pub fn labelled(text: impl Into<String>, label: usize) -> Self {
        Self::of(text, Target::Label(label))
    }

    /// A text and what is right for it.
    pub fn of(text: impl Into<String>, target: Target) -> Self {
        Self { text: text.into(), pair: None, target }
    }

    /// What makes it the same question as another one.
    pub(crate) fn texts(&self) -> (&str, Option<&str>) {
        (self.text.trim(), self.pair.as_deref().map(str::trim))
    }
}

impl Target {
    /// The labels that are right.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        match self {
            Self::Label(label) => std::slice::from_ref(label),
            Self::Labels(labels) => labels,
            Self::Value(_) => &[],
        }
    }

    /// Whether a label is right.
    pub(crate) fn has(&self, label: usize) -> bool {
        self.labels().contains(&label)
    }

    /// The figure; what has none is none.
    pub(crate) fn value(&self) -> f64 {
        if let Self::Value(value) = self { *value } else { f64::NAN }
    }

    /// The same, with other places for the labels.
    pub(super) fn moved(&mut self, places: &[usize]) {
        match self {
            Self::Label(label) => *label = places[*label],
            Self::Labels(labels) => {
                labels.iter_mut().for_each(|label| *label = places[*label]);
                labels.sort_unstable();
            }
            Self::Value(_) => (),
        }
    }
}
