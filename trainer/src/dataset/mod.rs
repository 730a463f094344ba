//! Labelled text: read, named, divided.

mod csv;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod split;

use std::path::Path;

use fs_err as fs;
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
}

impl Dataset {
    /// Reads `{"samples": [{"text", "label"}]}`, a plain list of the same, JSON lines, `.csv` and
    /// `.tsv` with a header, or (with the feature `parquet`) `.parquet`, where the names that
    /// `datasets` gives to numbered labels count.
    ///
    /// A label is a text or a number from 0, the same kind throughout.
    /// Texts are sorted and numbered; numbers become `LABEL_0`, `LABEL_1`, and so on, as in
    /// transformers. Rows that cannot be used are an error that names each of them by its line.
    ///
    /// ```
    /// use kit_trainer::{Columns, Dataset};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let file = folder.path().join("reviews.csv");
    /// std::fs::write(&file, "review,label\na wonderful film,good\n\"dull, and long\",bad\n")?;
    /// let columns = Columns { text: "review".to_owned(), ..Columns::default() };
    /// let dataset = Dataset::read(&file, &columns)?;
    /// assert_eq!(dataset.labels, ["bad", "good"]);
    /// assert_eq!((dataset.examples[1].text.as_str(), dataset.examples[1].label), ("dull, and long", 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: &Path, columns: &Columns) -> Result<Self> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let refuse = |problem: String| Error::DatasetFormat { path: path.to_owned(), problem };
        let rows = match extension.to_ascii_lowercase().as_str() {
            "csv" => csv::parse(&text(path)?, b',', columns).map_err(refuse)?,
            "tsv" => csv::parse(&text(path)?, b'\t', columns).map_err(refuse)?,
            #[cfg(feature = "parquet")]
            "parquet" => parquet::read(path, columns).map_err(refuse)?,
            #[cfg(not(feature = "parquet"))]
            "parquet" => {
                let hint = "this build reads no Parquet: build with the feature parquet, or export CSV or JSON lines";
                return Err(refuse(hint.to_owned()));
            }
            _ => json::parse(&text(path)?, path, columns)
                .map_err(|source| Error::DatasetDocument { path: path.to_owned(), source })?,
        };
        rows::collect(rows, columns)
            .map_err(|problems| Error::DatasetRows { path: path.to_owned(), problems })
    }

    /// The same examples, numbered as a classifier numbers its labels.
    /// A dataset that numbers its labels itself keeps its numbers.
    pub fn aligned_to(mut self, labels: &[String]) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        if are_numbers(&self.labels) {
            return match self.labels.get(labels.len()..) {
                Some([.., highest]) => {
                    Err(Error::UnknownLabel { label: highest.clone(), known: labels.to_vec() })
                }
                _ => Ok(Self { labels: labels.to_vec(), ..self }),
            };
        }
        let place = |label: &String| {
            labels
                .iter()
                .position(|known| known == label)
                .ok_or_else(|| Error::UnknownLabel { label: label.clone(), known: labels.to_vec() })
        };
        let places: Vec<usize> = self.labels.iter().map(place).collect::<Result<_>>()?;
        self.examples.iter_mut().for_each(|example| example.label = places[example.label]);
        self.labels = labels.to_vec();
        Ok(self)
    }

    /// Holds a share of the examples out, of each label as large a share; the same seed holds out
    /// the same. A label with a single example stays in training. The share is from 0 to below 1.
    pub fn split(&self, validation_fraction: f64, seed: u64) -> Result<Split> {
        if !(0.0..1.0).contains(&validation_fraction) {
            let problem = format!("{validation_fraction} is not from 0 to below 1");
            return Err(Error::TrainOption { option: "validation_fraction", problem });
        }
        Ok(split::split(&self.examples, self.labels.len(), validation_fraction, seed))
    }

    /// `sha256:` of texts and labels, whatever file they came in.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.examples)
    }
}

/// What some programs put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

fn text(path: &Path) -> Result<String> {
    let mut text = fs::read_to_string(path).map_err(|source| Error::DatasetFile { source })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
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

/// Whether the labels are bare numbers.
pub(crate) fn are_numbers(labels: &[String]) -> bool {
    labels.iter().enumerate().all(|(n, label)| *label == numbered(n))
}

/// The name of a label that is a bare number.
pub(crate) fn numbered(label: usize) -> String {
    format!("LABEL_{label}")
}
