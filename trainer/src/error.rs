//! What can go wrong between a checkpoint, a dataset and a trained classifier.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::dataset::RowProblem;
use crate::weights::TensorProblem;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done, to what; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model folder cannot be read.
    #[error("cannot read the model folder {}", dir.display())]
    ModelFolder {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A JSON document of the model folder cannot be parsed.
    #[error("cannot parse {}", path.display())]
    ModelDocument {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The model is not one that this crate trains.
    #[error("cannot use {}: {problem}", path.display())]
    UnsupportedModel {
        /// The file that says so.
        path: PathBuf,
        /// What is not supported.
        problem: String,
    },
    /// The weights' file is damaged.
    #[error("cannot parse the weights {}", path.display())]
    WeightsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Tensors are missing, unknown or of another shape than `config.json` says.
    #[error("the weights in {} do not fit its config.json: {}", dir.display(), List(problems))]
    Tensors {
        /// The model folder.
        dir: PathBuf,
        /// Every tensor that does not fit, by name.
        problems: Vec<TensorProblem>,
    },
    /// `tokenizer.json` cannot be used.
    #[error("cannot use the tokenizer {}", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text cannot be turned into tokens.
    #[error("cannot tokenize the texts")]
    Tokenization {
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The classifier cannot be written.
    #[error("cannot write the model folder {}", dir.display())]
    SavedModel {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The weights cannot be written.
    #[error("cannot write the weights {}", path.display())]
    SavedWeights {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// The dataset cannot be read.
    #[error("cannot read the dataset")]
    DatasetFile {
        /// Why not; it names the file.
        #[source]
        source: io::Error,
    },
    /// The dataset is not JSON.
    #[error("cannot parse the dataset {}", path.display())]
    DatasetDocument {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The dataset is not in the form that its name says.
    #[error("cannot read the dataset {}: {problem}", path.display())]
    DatasetFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The dataset has rows that cannot be used.
    #[error("the dataset {} has rows that cannot be used: {}{}", path.display(), List(problems), Lines(problems))]
    DatasetRows {
        /// The file.
        path: PathBuf,
        /// Every such row.
        problems: Vec<RowProblem>,
    },
    /// The examples' labels are not the classifier's.
    #[error("the dataset's label {label:?} is none of the classifier's: {}", known.join(", "))]
    UnknownLabel {
        /// The label that the classifier does not have.
        label: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The weights, or a text, give something else than numbers.
    #[error(
        "the classifier answers text {text} with what is no finite number: its weights are damaged"
    )]
    NotFinite {
        /// Which of the texts, from 1.
        text: usize,
    },
    /// Another process keeps its state in the same place.
    #[error("another training is under way in {}", path.display())]
    TrainingUnderWay {
        /// The folder of its state.
        path: PathBuf,
    },
    /// A base checkpoint has no classification head yet.
    #[error("the checkpoint has no labels yet: give it some before it classifies")]
    NoLabels,
    /// With a single label every text is right.
    #[error("there is only one label, {label:?}: nothing can be learned")]
    OneLabel {
        /// The label.
        label: String,
    },
    /// There is nothing to learn from, or to measure with.
    #[error("there are no examples")]
    NoExamples,
    /// An option of the training is out of its range.
    #[error("cannot train with {option}: {problem}")]
    TrainOption {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The threads cannot be started.
    #[error("cannot start the threads that compute")]
    Threads {
        /// Why not.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// The loss stopped being a number.
    #[error("the loss is no longer a finite number at step {step}: try a smaller learning rate")]
    Diverged {
        /// The step, from 1.
        step: usize,
    },
    /// The state of an interrupted training cannot be written or read.
    #[error("cannot write or read the state of the training in {}", path.display())]
    State {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The interrupted training was another one.
    #[error("cannot go on with the training in {}: it was started with another {what}", path.display())]
    OtherTraining {
        /// The folder of its state.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The processor computes other bits than were asked for.
    #[error(
        "this processor is {found}, and its bits on {device} are not those of {asked:?}: \
         train on a processor of that kind, or leave the instruction set open"
    )]
    InstructionSet {
        /// What was asked for.
        asked: String,
        /// What there is.
        found: String,
        /// What computes.
        device: String,
    },
    /// The callback asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Names the lines of those problems that [`List`] leaves out.
struct Lines<'a>(&'a [RowProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().skip(SHOWN).enumerate() {
            write!(f, "{}{}", if n == 0 { ", in lines " } else { ", " }, problem.line)?;
        }
        Ok(())
    }
}

/// Problems that are shown with all that is known of them.
const SHOWN: usize = 20;

/// Shows the first few of many problems.
struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
