//! Labelled text for a command: how it is read, and what is said of it before anything is computed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use trainer::{Columns, Dataset, Doubles, Example, ReadOptions, Task};

use crate::failure::{WithHint as _, asked_wrongly};
use crate::steps::splits;
use crate::ui::Ui;

/// How datasets are read.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DatasetArgs {
    /// Column, or key, of the text
    #[arg(long, default_value = "text", value_name = "NAME")]
    text_column: String,
    /// Column, or key, of the second text, where pairs of texts are classified
    #[arg(long, value_name = "NAME")]
    pair_column: Option<String>,
    /// Column, or key, of the label; several (repeatable) hold 0 or 1 each, and are labels of which
    /// some may be right at once
    #[arg(long, default_value = "label", value_name = "NAME")]
    label_column: Vec<String>,
    /// What stands between the labels of a cell, of which some are right at once
    #[arg(long, value_name = "TEXT")]
    label_separator: Option<String>,
    /// What stands between the cells of CSV: a character, or `tab` [default: the comma, tab,
    /// semicolon or bar by which the header has the columns]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Take all labels for names, also those that are numbers; without it numbers from 0 without a
    /// gap are LABEL_0 and so on, and a label like 3.8 is refused
    #[arg(long)]
    labels_are_names: bool,
    /// Leave rows out that cannot be used, and say how many
    #[arg(long)]
    skip_bad_rows: bool,
}

impl DatasetArgs {
    /// Reads a dataset that has examples, and warns of rows that are left out.
    pub(crate) fn read(
        &self,
        paths: &[PathBuf],
        task: Option<Task>,
        ui: &Ui,
    ) -> anyhow::Result<Dataset> {
        if self.label_separator.as_ref().is_some_and(String::is_empty) {
            return Err(asked_wrongly("--label-separator is empty"));
        }
        let options = ReadOptions {
            columns: Columns {
                text: self.text_column.clone(),
                pair: self.pair_column.clone(),
                labels: self.label_column.clone(),
            },
            task,
            label_separator: self.label_separator.clone(),
            delimiter: self.delimiter,
            labels_are_names: self.labels_are_names,
            skip_bad_rows: self.skip_bad_rows,
        };
        let dataset = Dataset::read(paths, &options).or_else(hinted)?;
        if let Some(first) = dataset.skipped.first() {
            let n_all = dataset.skipped.len() + dataset.examples.len();
            ui.warn(format_args!(
                "{} of the {n_all} rows of {} are left out, the first because of {first}",
                dataset.skipped.len(),
                first.path.display()
            ));
        }
        match dataset.examples.is_empty() {
            true => Err(anyhow::Error::from(trainer::Error::NoExamples)
                .context(format!("cannot use the dataset {}", splits::shown(paths)))),
            false => Ok(dataset),
        }
    }
}

/// One byte, for that is what separates cells.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        [b'"' | b'\r' | b'\n'] => Err("it stands in cells, or between rows".to_owned()),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err("it is one character of ASCII, or `tab`".to_owned()),
    }
}

fn hinted(error: trainer::Error) -> anyhow::Result<Dataset> {
    let hint = match &error {
        trainer::Error::DatasetColumn { .. } => {
            "--text-column and --label-column say which they are"
        }
        trainer::Error::DatasetRows { problems, .. }
            if problems.iter().all(|row| row.problem.ends_with("no whole number")) =>
        {
            "--task regression learns figures, --labels-are-names takes them for names"
        }
        trainer::Error::DatasetRows { .. } => "--skip-bad-rows leaves them out",
        _ => return Err(error.into()),
    };
    Err(error).hint(hint)
}

/// Says which label is which, where the dataset says it in other words than the classifier.
pub(crate) fn tell_labels(dataset: &Dataset, labels: &[String], ui: &Ui) -> anyhow::Result<()> {
    let places = dataset.matched_to(labels)?;
    if dataset.task == Task::Regression {
        return Ok(());
    }
    let differing: Vec<String> = dataset
        .labels
        .iter()
        .zip(places)
        .filter(|(own, place)| **own != labels[*place])
        .map(|(own, place)| format!("{} = {}", shown(plain(own)), shown(&labels[place])))
        .collect();
    if !differing.is_empty() {
        let told = some(differing.into_iter());
        ui.note(format_args!("the dataset's labels are the classifier's: {told}"));
    }
    Ok(())
}

/// Says which texts are there twice, and warns where they contradict each other.
pub(crate) fn tell_doubles(doubles: &Doubles, ui: &Ui) {
    let Doubles { n_repeated, n_contradicted, contradicted, .. } = doubles;
    if *n_repeated > 0 {
        ui.note(format_args!("{n_repeated} examples are there before, with the same label"));
    }
    if let Some(text) = contradicted {
        ui.warn(format_args!(
            "{n_contradicted} texts have different labels in different rows, the first is `{}`",
            shown(text)
        ));
    }
}

/// How many examples have each label.
pub(crate) fn counts(examples: &[Example], n_labels: usize) -> Vec<usize> {
    let mut counts = vec![0; n_labels];
    let all = examples.iter().flat_map(|example| example.target.labels());
    all.for_each(|label| counts[*label] += 1);
    counts
}

/// The first of some names.
pub(crate) fn some(mut names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let told: Vec<String> = names.by_ref().take(SHOWN).collect();
    let more = if names.next().is_some() { ", …" } else { "" };
    told.join(", ") + more
}

/// A label for a terminal, whatever it holds.
pub(crate) fn shown(label: &str) -> String {
    const SHOWN: usize = 60;
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let more = if label.chars().nth(SHOWN).is_some() { "…" } else { "" };
    label.chars().take(SHOWN).map(plain).collect::<String>() + more
}

/// A numbered label as the dataset has it.
fn plain(label: &str) -> &str {
    label.strip_prefix("LABEL_").unwrap_or(label)
}
