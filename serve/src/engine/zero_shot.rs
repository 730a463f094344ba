//! Labels that a model was not trained on: a model of inference tells whether they follow from a
//! text. Source: Yin et al., "Benchmarking Zero-shot Text Classification", §4; in the form of
//! `ZeroShotClassificationPipeline` in `transformers`.

use std::path::Path;

use checkpoint::{Cut, Tokenizer};

use super::tokens::{Tokens, prepare_pair};
use crate::error::{Error, Result};
use crate::predictor::{BoxError, Prepared, Task};

/// What is asked of a model of inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroShot {
    /// The labels that are told apart.
    pub labels: Vec<String>,
    /// What follows from a text where a label is right; `{}` stands for the label.
    pub hypothesis: String,
    /// Whether each label is right or wrong for itself.
    pub multi_label: bool,
}

/// The same, held against the labels of a model.
pub(super) struct Inference {
    pub(super) labels: Vec<String>,
    hypotheses: Vec<String>,
    entailment: usize,
    /// Where each label is right or wrong for itself.
    contradiction: Option<usize>,
}

impl Inference {
    /// One of the model's labels must be entailment.
    pub(super) fn of(asked: &ZeroShot, known: &[String], dir: &Path) -> Result<Self> {
        let refused = |problem: String| Error::ZeroShot { dir: dir.to_owned(), problem };
        let is_entailment = |label: &String| label.to_lowercase().starts_with("entail");
        let entailment = known.iter().position(is_entailment).ok_or_else(|| {
            refused(format!("none of its labels is entailment: {}", known.join(", ")))
        })?;
        if known.len() < 2 {
            return Err(refused("it has one label".to_owned()));
        }
        if asked.labels.is_empty() || !asked.hypothesis.contains("{}") {
            return Err(refused("there must be labels, and a {} in the hypothesis".to_owned()));
        }
        // The last one where entailment is the first, as transformers takes it.
        let contradiction = if entailment == 0 { known.len() - 1 } else { 0 };
        let hypothesis = |label: &String| asked.hypothesis.replacen("{}", label, 1);
        Ok(Self {
            labels: asked.labels.clone(),
            hypotheses: asked.labels.iter().map(hypothesis).collect(),
            entailment,
            // A single label has nothing to be told apart from.
            contradiction: (asked.multi_label || asked.labels.len() == 1).then_some(contradiction),
        })
    }

    pub(super) fn task(&self) -> Task {
        if self.contradiction.is_some() { Task::MultiLabel } else { Task::SingleLabel }
    }

    /// One pair of texts for each label; of a long one only the text is cut.
    pub(super) fn prepare(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
    ) -> Result<Prepared<Vec<Tokens>>, BoxError> {
        let mut whole = Prepared { input: Vec::new(), n_tokens: 0, truncated: false };
        for hypothesis in &self.hypotheses {
            let one = prepare_pair(tokenizer, text, hypothesis, Cut::First)?;
            whole.input.extend(one.input);
            whole.n_tokens += one.n_tokens;
            whole.truncated |= one.truncated;
        }
        Ok(whole)
    }

    /// A label's logit, of its pair's. The sigmoid of the difference is the softmax of both.
    pub(super) fn logit(&self, logits: &[f32]) -> f32 {
        let against = self.contradiction.map_or(0.0, |contradiction| logits[contradiction]);
        logits[self.entailment] - against
    }
}
