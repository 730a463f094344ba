//! Predictors for the unit tests.

use crate::predictor::{BoxError, Predictor, Prepared};

/// Tells long texts from short ones: the logits are the number of words and 3.
pub(crate) struct Lengths(Vec<String>);

impl Default for Lengths {
    fn default() -> Self {
        Self(vec!["long".to_owned(), "short".to_owned()])
    }
}

impl Predictor for Lengths {
    type Input = usize;

    fn labels(&self) -> &[String] {
        &self.0
    }

    fn prepare(&self, text: &str) -> Result<Prepared<usize>, BoxError> {
        let n_words = text.split_whitespace().count();
        Ok(Prepared { input: n_words, n_tokens: n_words + 2, truncated: n_words > 100 })
    }

    fn predict(&self, inputs: &[usize]) -> Result<Vec<Vec<f32>>, BoxError> {
        Ok(inputs.iter().map(|&n_words| vec![n_words as f32, 3.0]).collect())
    }
}

/// Answers a batch of so many texts by a function; has two labels.
pub(crate) struct Scripted<F>(pub(crate) F);

impl<F: Fn(usize) -> Result<Vec<Vec<f32>>, BoxError> + Send + Sync + 'static> Predictor
    for Scripted<F>
{
    type Input = ();

    fn labels(&self) -> &[String] {
        static LABELS: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| vec!["a".to_owned(), "b".to_owned()]);
        &LABELS
    }

    fn prepare(&self, _text: &str) -> Result<Prepared<()>, BoxError> {
        Ok(Prepared { input: (), n_tokens: 1, truncated: false })
    }

    fn predict(&self, inputs: &[()]) -> Result<Vec<Vec<f32>>, BoxError> {
        (self.0)(inputs.len())
    }
}
