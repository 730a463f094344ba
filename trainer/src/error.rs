//! What can go wrong between a checkpoint, a dataset and a trained classifier.

use std::path::PathBuf;
use std::{fmt, io};

use checkpoint::{Clipped, Few};

use crate::dataset::RowProblem;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done, to what; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model folder cannot be read or written, or a text is not tokenized.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// What is there is not replaced by a model.
    #[error("{} is there and is no model's folder", dir.display())]
    NotReplaced {
        /// The folder, or file.
        dir: PathBuf,
    },
    /// The new folder cannot be moved to its place.
    #[error("cannot write the model folder {}", dir.display())]
    SavedModel {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
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
    /// The dataset has no column, or key, of a name.
    #[error("the dataset {} has no column {name:?}, only {}", path.display(), Names(found))]
    DatasetColumn {
        /// The file.
        path: PathBuf,
        /// What it should have.
        name: String,
        /// What it has.
        found: Vec<String>,
    },
    /// The dataset has rows that cannot be used.
    #[error("the dataset {} has rows that cannot be used: {}{}", path.display(), Few(problems), Lines(problems))]
    DatasetRows {
        /// The file.
        path: PathBuf,
        /// Every such row.
        problems: Vec<RowProblem>,
    },
    /// The examples' labels are not the classifier's.
    #[error("the dataset's label {label:?} is none of the classifier's: {}", Names(known))]
    UnknownLabel {
        /// The label that the classifier does not have.
        label: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The classifier calls two of its labels alike.
    #[error("the classifier has two labels {label:?}: which of them is meant cannot be told")]
    SameLabels {
        /// What it calls them.
        label: String,
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
    #[error("there is only one label, {label:?}: there is nothing to tell apart")]
    OneLabel {
        /// The label.
        label: String,
    },
    /// All examples say the same.
    #[error("the same is right for all examples: there is nothing to learn from them")]
    NothingToTell,
    /// A figure is one number.
    #[error(
        "the classifier answers {n_labels} figures at once, and only one is trained or measured"
    )]
    Figures {
        /// How many.
        n_labels: usize,
    },
    /// What is right for the examples is of another kind than what the classifier answers.
    #[error("what is right for the examples does not fit a classifier of {task}")]
    OtherTask {
        /// As `problem_type` calls it.
        task: &'static str,
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
    /// A training record does not hold together.
    #[error("the training record does not hold together")]
    BrokenRecord {
        /// Where.
        source: crate::train::BrokenRecord,
    },
    /// A record has no such segment.
    #[error("the training record has no segment {segment}")]
    NoSegment {
        /// The place of its first link, from 0.
        segment: usize,
    },
    /// The options that a record tells are none of ours.
    #[error("cannot read the options in the training record")]
    RecordedOptions {
        /// Why not.
        source: serde_json::Error,
    },
    /// What is here computes other bits than what the training was recorded on: nothing can be said.
    #[error(
        "the training was recorded with {what} {recorded}, and here it is {found}: other bits may \
         come out, so that nothing can be said of it here"
    )]
    OtherMachine {
        /// The name of the input.
        what: String,
        /// What the record has.
        recorded: String,
        /// What is here.
        found: String,
    },
    /// What goes into the training is not what the record names.
    #[error("{what} here: {found}; the training record has: {recorded}")]
    OtherInput {
        /// The name of the input.
        what: String,
        /// What the record has.
        recorded: String,
        /// What is here.
        found: String,
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

/// The first of some names of the data, and of each no more than an error has room for.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = Few::<String>::SHOWN;
        for (n, name) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Clipped(name))?;
        }
        if self.0.len() > SHOWN { write!(f, ", …") } else { Ok(()) }
    }
}

/// Names the first lines of those problems that [`Few`] leaves out.
struct Lines<'a>(&'a [RowProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = Few::<RowProblem>::SHOWN;
        for (n, problem) in self.0.iter().skip(SHOWN).take(SHOWN).enumerate() {
            write!(f, "{}{}", if n == 0 { ", in lines " } else { ", " }, problem.line)?;
        }
        if self.0.len() > 2 * SHOWN { write!(f, ", …") } else { Ok(()) }
    }
}
