//! Labelled text: read, named, divided.

mod csv;
mod doubles;
mod example;
mod json;
pub(crate) mod labels;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod split;
mod targets;
mod text;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use checkpoint::Task;
pub use doubles::Doubles;
pub use example::{Example, Target};
use rows::Row;
pub use rows::{Columns, RowProblem};
use sha2::{Digest as _, Sha256};
pub use split::Split;

use crate::error::{Error, Result};

/// Labelled text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    /// In the order of the files.
    pub examples: Vec<Example>,
    /// The labels that the examples' numbers mean; of figures a name for them.
    pub labels: Vec<String>,
    /// Rows that were left out, where that was asked for.
    pub skipped: Vec<RowProblem>,
    /// What is said of the texts.
    pub task: Task,
}

/// How a dataset is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Where text and label are.
    pub columns: Columns,
    /// What is learned; without it, some labels at once where there are lists of them or several
    /// columns, and else one label.
    pub task: Option<Task>,
    /// What stands between the labels of a cell.
    pub label_separator: Option<String>,
    /// What stands between the cells of a row; without it, that by which the header has the
    /// columns.
    pub delimiter: Option<u8>,
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
    /// Some labels at once are a list of them, a list of 0 and 1, a cell with a separator, or a
    /// column of 0 and 1 for each.
    /// Rows that cannot be used are an error that names each of them by its line, or are left out.
    ///
    /// ```
    /// use kit_trainer::{Columns, Dataset, Example, ReadOptions};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let file = folder.path().join("reviews.csv");
    /// std::fs::write(&file, "review,label\na wonderful film,good\n\"dull, and long\",bad\n")?;
    /// let columns = Columns { text: "review".to_owned(), ..Columns::default() };
    /// let dataset = Dataset::read(&[&file], &ReadOptions { columns, ..ReadOptions::default() })?;
    /// assert_eq!(dataset.labels, ["bad", "good"]);
    /// assert_eq!(dataset.examples[1], Example::labelled("dull, and long", 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read<P: AsRef<Path>>(paths: &[P], options: &ReadOptions) -> Result<Self> {
        let mut files = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            files.push((path, rows_of(path, options).map_err(|unread| unread.of(path))?));
        }
        let Some((last, _)) = files.last() else { return Err(Error::NoExamples) };
        let (last, mut problems) = (*last, Vec::new());
        let rows = rows::labelled(files, &options.columns, &mut problems)?;
        let unread = |problem: String| Unread::Form(problem).of(last);
        let mut dataset = targets::dataset(rows, options, &mut problems).map_err(unread)?;
        problems.sort_by_key(|(place, _)| *place);
        let problem = |((file, line, _), problem): (rows::Place, String)| RowProblem {
            path: paths[file].as_ref().to_owned(),
            line,
            problem,
        };
        dataset.skipped = problems.into_iter().map(problem).collect();
        if let Some(first) = dataset.skipped.first().filter(|_| !options.skip_bad_rows) {
            let path = first.path.clone();
            let of_file = |problem: &RowProblem| problem.path == path;
            let problems = dataset.skipped.into_iter().filter(of_file).collect();
            return Err(Error::DatasetRows { path, problems });
        }
        match dataset.labels.len() {
            n_labels if n_labels > MOST_LABELS => Err(unread(format!(
                "it has {n_labels} different labels, and at most {MOST_LABELS} are taken: is {:?} their column?",
                options.columns.labels[0]
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
        // A single figure, or yes and no, has no name that counts.
        let is_only = self.labels.len() == 1 && labels.len() == 1;
        if is_only && self.task != Task::SingleLabel {
            return Ok(vec![0]);
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
        self.examples.iter_mut().for_each(|example| example.target.moved(&places));
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

/// The rows of a file, with the cells of the columns.
fn rows_of(path: &Path, options: &ReadOptions) -> Result<Vec<Row>, Unread> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    let names = options.columns.names();
    let mut seen = HashSet::new();
    if let Some(name) = names.iter().find(|name| !seen.insert(**name)) {
        return Err(format!("text and label cannot both be in {name:?}").into());
    }
    let is_separated = matches!(extension.as_str(), "csv" | "tsv");
    if options.delimiter.is_some() && !is_separated {
        return Err("a delimiter is asked for, and its name ends in neither .csv nor .tsv"
            .to_owned()
            .into());
    }
    match extension.as_str() {
        "csv" => csv::parse(&text::read(path)?, b',', options.delimiter, &names),
        "tsv" => csv::parse(&text::read(path)?, b'\t', options.delimiter, &names),
        #[cfg(feature = "parquet")]
        "parquet" => parquet::read(path, &names),
        #[cfg(not(feature = "parquet"))]
        "parquet" => {
            let hint = "this build reads no Parquet: build with the feature parquet, or export CSV or JSON lines";
            Err(hint.to_owned().into())
        }
        _ => json::parse(&text::read(path)?, &extension, &names),
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

/// `sha256:` of examples: a line `[label,"text"]` each, `[[labels],"text"]` where there are some at
/// once, `[label,"text","second text"]` for pairs.
pub(crate) fn digest(examples: &[Example]) -> String {
    let mut hasher = Sha256::new();
    for Example { text, pair, target } in examples {
        let line = match pair {
            None => serde_json::to_string(&(target, text)),
            Some(pair) => serde_json::to_string(&(target, text, pair)),
        };
        let line = line.expect("numbers and texts become JSON");
        hasher.update(line);
        hasher.update("\n");
    }
    crate::report::sha256_text(hasher)
}
