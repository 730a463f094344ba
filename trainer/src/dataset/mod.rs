//! Labelled text: read, named, divided.

mod csv;
mod json;
pub(crate) mod labels;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod split;
mod text;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

pub use rows::{Columns, RowProblem};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
pub use split::Split;

use crate::error::{Error, Result};

/// A text and the number of its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The label's place among the dataset's (or the classifier's) labels.
    pub label: usize,
}

/// Labelled text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dataset {
    /// In the order of the file.
    pub examples: Vec<Example>,
    /// The labels that the examples' numbers mean.
    pub labels: Vec<String>,
    /// Rows that were left out, where that was asked for.
    pub skipped: Vec<RowProblem>,
}

/// How a dataset is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Where text and label are.
    pub columns: Columns,
    /// Whether all labels are names, also those that are numbers.
    pub labels_are_names: bool,
    /// Whether rows that cannot be used are left out, and are no error.
    pub skip_bad_rows: bool,
}

/// Why a dataset is not read.
enum Unread {
    /// The file is not what it should be.
    Form(String),
    /// It has no such column.
    Column {
        name: String,
        found: Vec<String>,
    },
    Json(serde_json::Error),
    Io(std::io::Error),
    Rows(Vec<RowProblem>),
}

impl From<String> for Unread {
    fn from(problem: String) -> Self {
        Self::Form(problem)
    }
}

impl Unread {
    fn of(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Form(problem) => Error::DatasetFormat { path, problem },
            Self::Column { name, found } => Error::DatasetColumn { path, name, found },
            Self::Json(source) => Error::DatasetDocument { path, source },
            Self::Io(source) => Error::DatasetFile { source },
            Self::Rows(problems) => Error::DatasetRows { path, problems },
        }
    }
}

impl Dataset {
    /// Reads `{"samples": [{"text", "label"}]}`, a plain list of the same, JSON lines, `.csv` and
    /// `.tsv` with a header, or (with the feature `parquet`) `.parquet`, where the names that
    /// `datasets` gives to numbered labels count.
    ///
    /// Each different label is one of the dataset's, whatever the format, and whether it is written
    /// as a number or as a text: numbers from 0 without a gap become `LABEL_0`, `LABEL_1`, and so
    /// on, as in transformers; other numbers are names, as texts are. Names are sorted.
    /// Rows that cannot be used are an error that names each of them by its line, or are left out.
    ///
    /// ```
    /// use kit_trainer::{Columns, Dataset, ReadOptions};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let file = folder.path().join("reviews.csv");
    /// std::fs::write(&file, "review,label\na wonderful film,good\n\"dull, and long\",bad\n")?;
    /// let columns = Columns { text: "review".to_owned(), ..Columns::default() };
    /// let dataset = Dataset::read(&file, &ReadOptions { columns, ..ReadOptions::default() })?;
    /// assert_eq!(dataset.labels, ["bad", "good"]);
    /// assert_eq!((dataset.examples[1].text.as_str(), dataset.examples[1].label), ("dull, and long", 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        Self::unchecked(path, options).map_err(|unread| unread.of(path))
    }

    fn unchecked(path: &Path, options: &ReadOptions) -> Result<Self, Unread> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        let columns = &options.columns;
        if columns.text == columns.label {
            return Err(format!("text and label cannot both be in {:?}", columns.text).into());
        }
        let rows = match extension.as_str() {
            "csv" => csv::parse(&text::read(path)?, b',', columns)?,
            "tsv" => csv::parse(&text::read(path)?, b'\t', columns)?,
            #[cfg(feature = "parquet")]
            "parquet" => parquet::read(path, columns)?,
            #[cfg(not(feature = "parquet"))]
            "parquet" => {
                let hint = "this build reads no Parquet: build with the feature parquet, or export CSV or JSON lines";
                return Err(hint.to_owned().into());
            }
            _ => json::parse(&text::read(path)?, &extension, columns)?,
        };
        let dataset = rows::collect(rows, options)?;
        match dataset.labels.len() {
            n_labels if n_labels > MOST_LABELS => Err(Unread::Form(format!(
                "it has {n_labels} different labels, and at most {MOST_LABELS} are taken: is {:?} their column?",
                columns.label
            ))),
            _ => Ok(dataset),
        }
    }

    /// Which of a classifier's labels each of the dataset's is.
    ///
    /// Names are matched as they are, else without regard to case; numbers with the numbers in the
    /// classifier's names (`LABEL_3`, `3 stars`). Where those have none, numbers from 0 are places.
    pub fn matched_to(&self, labels: &[String]) -> Result<Vec<usize>> {
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        let mut seen = HashSet::new();
        if let Some(label) = labels.iter().find(|label| !seen.insert(*label)) {
            return Err(Error::SameLabels { label: label.clone() });
        }
        labels::places(&self.labels, labels)
            .map_err(|label| Error::UnknownLabel { label: label.clone(), known: labels.to_vec() })
    }

    /// Whether the labels are numbers that [match](Self::matched_to) only by their places.
    #[must_use]
    pub fn is_matched_by_place(&self, labels: &[String]) -> bool {
        labels::are_places(&self.labels, labels)
    }

    /// The same examples, numbered as a classifier numbers its labels, as far as they
    /// [match](Self::matched_to).
    pub fn aligned_to(mut self, labels: &[String]) -> Result<Self> {
        let places = self.matched_to(labels)?;
        self.examples.iter_mut().for_each(|example| example.label = places[example.label]);
        self.labels = labels.to_vec();
        Ok(self)
    }

    /// Holds a share of the examples out, of each label as large a share; the same seed holds out
    /// the same. A label with a single example stays in training; that none is held out although a
    /// share was asked for is an error. The share is from 0 to below 1.
    pub fn split(&self, validation_fraction: f64, seed: u64) -> Result<Split> {
        if !(0.0..1.0).contains(&validation_fraction) {
            let problem = format!("{validation_fraction} is not from 0 to below 1");
            return Err(Error::TrainOption { option: "validation_fraction", problem });
        }
        let split = split::split(&self.examples, self.labels.len(), validation_fraction, seed);
        if split.validation.is_empty() && validation_fraction > 0.0 && !self.examples.is_empty() {
            let problem = "no label has two examples, so that one could be held out: 0 measures on those that are learned from";
            return Err(Error::TrainOption {
                option: "validation_fraction",
                problem: problem.to_owned(),
            });
        }
        Ok(split)
    }

    /// `sha256:` of texts and labels, whatever file they came in.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.examples)
    }
}

/// More labels than these are a mistake: what is taken for labels are none.
const MOST_LABELS: usize = 10_000;

/// A text of the data in quotes, and not more of it than an error has room for.
fn short(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown = format!("{:?}", text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        write!(shown, "…").expect("a string takes everything");
    }
    shown
}

/// `sha256:` of examples: a line `[label,"text"]` each.
pub(crate) fn digest(examples: &[Example]) -> String {
    let mut hasher = Sha256::new();
    for Example { text, label } in examples {
        let line = serde_json::to_string(&(label, text)).expect("a number and a text become JSON");
        hasher.update(line);
        hasher.update("\n");
    }
    crate::report::sha256_text(hasher)
}
