//! What the server needs of a model.

use std::any::Any;

/// Any error that a [`Predictor`] may give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A text classifier, as the server sees it: two plain steps in std types.
///
/// [`Engine`](crate::engine::Engine) is our own; a closure, burn or ONNX Runtime can stand behind
/// the same two steps.
pub trait Predictor: Send + Sync + 'static {
    /// One text, ready to be computed.
    type Input: Send;

    /// The names of the classes, in the order of the logits.
    fn labels(&self) -> &[String];

    /// What the logits mean.
    fn task(&self) -> Task {
        Task::default()
    }

    /// The least score with which a text is given each label, where several may be right at once
    /// and somebody has chosen; in the order of [`labels`](Self::labels).
    fn thresholds(&self) -> Option<&[f64]> {
        None
    }

    /// Makes one text ready. Called from any thread, many at once; must be cheap.
    fn prepare(&self, text: &str) -> Result<Prepared<Self::Input>, BoxError>;

    /// Whether [`prepare_pair`](Self::prepare_pair) is done.
    fn takes_pairs(&self) -> bool {
        false
    }

    /// Makes two texts ready, of which the model tells what they are to each other.
    fn prepare_pair(&self, text: &str, pair: &str) -> Result<Prepared<Self::Input>, BoxError> {
        let _ = (text, pair);
        Err("the model takes no pairs of texts".into())
    }

    /// Gives one row of logits per input, in the order of [`labels`](Self::labels). Called from the
    /// compute thread only, one batch at a time.
    fn predict(&self, inputs: &[Self::Input]) -> Result<Vec<Vec<f32>>, BoxError>;

    /// Texts whose logits are known from elsewhere: a model whose own differ by more than 1e-3 is
    /// not served.
    fn golden(&self) -> Vec<(String, Vec<f32>)> {
        Vec::new()
    }

    /// Tokens of the longest text that is not cut, where that is known.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// Whether of a longer text the beginning is cut off, and not the end.
    fn cuts_beginning(&self) -> bool {
        false
    }
}

/// What the logits of a model mean, and so how they become scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// One of the labels is right: softmax, and of a single logit the sigmoid.
    #[default]
    SingleLabel,
    /// Each label is right or wrong for itself: the sigmoid of each.
    MultiLabel,
    /// They are the answer, as they are.
    Regression,
}

/// One text after [`Predictor::prepare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared<I> {
    /// What [`Predictor::predict`] will be given.
    pub input: I,
    /// What the text costs, in tokens; the queue is counted in them.
    pub n_tokens: usize,
    /// Whether a part of the text was cut off.
    pub truncated: bool,
}

/// A text, or a pair of them, as it was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
}

impl Text {
    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + self.pair.as_ref().map_or(0, String::len)
    }

    /// Whether the text is empty, or that which it is paired with.
    pub(crate) fn has_empty(&self) -> bool {
        self.text.is_empty() || self.pair.as_ref().is_some_and(String::is_empty)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, pair: None }
    }
}

/// More tokens of one text are not counted, so that no sum of them overflows.
const MAX_TEXT_TOKENS: usize = usize::MAX >> 24;

/// One prepared text of whichever predictor is being served.
pub(crate) type AnyInput = Box<dyn Any + Send>;

/// A [`Predictor`] whose input type is forgotten, so that the served model can be swapped for one
/// of another type.
pub(crate) trait AnyPredictor: Send + Sync {
    fn labels(&self) -> &[String];
    fn task(&self) -> Task;
    fn thresholds(&self) -> Option<&[f64]>;
    fn takes_pairs(&self) -> bool;
    fn prepare(&self, text: &Text) -> Result<Prepared<AnyInput>, BoxError>;
    fn predict(&self, inputs: Vec<AnyInput>) -> Result<Vec<Vec<f32>>, BoxError>;
    fn golden(&self) -> Vec<(String, Vec<f32>)>;
    fn max_tokens(&self) -> Option<usize>;
    fn cuts_beginning(&self) -> bool;
}

impl<P: Predictor> AnyPredictor for P {
    fn labels(&self) -> &[String] {
        Predictor::labels(self)
    }

    fn task(&self) -> Task {
        Predictor::task(self)
    }

    fn thresholds(&self) -> Option<&[f64]> {
        Predictor::thresholds(self)
    }

    fn takes_pairs(&self) -> bool {
        Predictor::takes_pairs(self)
    }

    fn prepare(&self, text: &Text) -> Result<Prepared<AnyInput>, BoxError> {
        let Prepared { input, n_tokens, truncated } = match &text.pair {
            None => Predictor::prepare(self, &text.text)?,
            Some(pair) => self.prepare_pair(&text.text, pair)?,
        };
        let n_tokens = n_tokens.min(MAX_TEXT_TOKENS);
        Ok(Prepared { input: Box::new(input), n_tokens, truncated })
    }

    fn predict(&self, inputs: Vec<AnyInput>) -> Result<Vec<Vec<f32>>, BoxError> {
        let inputs: Vec<P::Input> = inputs
            .into_iter()
            .map(|input| {
                *input.downcast().expect("an input travels with the model that prepared it")
            })
            .collect();
        Predictor::predict(self, &inputs)
    }

    fn golden(&self) -> Vec<(String, Vec<f32>)> {
        Predictor::golden(self)
    }

    fn max_tokens(&self) -> Option<usize> {
        Predictor::max_tokens(self)
    }

    fn cuts_beginning(&self) -> bool {
        Predictor::cuts_beginning(self)
    }
}

/// Stands where a model will be; it has no labels and answers nothing.
pub(crate) struct NoModel;

impl Predictor for NoModel {
    type Input = ();

    fn labels(&self) -> &[String] {
        &[]
    }

    fn prepare(&self, _text: &str) -> Result<Prepared<()>, BoxError> {
        Err("there is no model yet".into())
    }

    fn predict(&self, _inputs: &[()]) -> Result<Vec<Vec<f32>>, BoxError> {
        Err("there is no model yet".into())
    }
}
