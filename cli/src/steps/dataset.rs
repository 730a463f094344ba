//! Labelled text for a command: how it is read, and what is said of it before anything is computed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use trainer::{Columns, Dataset, ReadOptions};

use crate::failure::WithHint as _;
use crate::ui::Ui;

/// How datasets are read.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DatasetArgs {
    /// Column, or key, of the text
    #[arg(long, default_value = "text", value_name = "NAME")]
    text_column: String,
    /// Column, or key, of the label
    #[arg(long, default_value = "label", value_name = "NAME")]
    label_column: String,
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
    pub(crate) fn read(&self, path: &Path, ui: &Ui) -> anyhow::Result<Dataset> {
        let options = ReadOptions {
            columns: Columns { text: self.text_column.clone(), label: self.label_column.clone() },
            labels_are_names: self.labels_are_names,
            skip_bad_rows: self.skip_bad_rows,
        };
        let dataset = Dataset::read(path, &options).or_else(hinted)?;
        if let Some(first) = dataset.skipped.first() {
            let n_all = dataset.skipped.len() + dataset.examples.len();
            ui.warn(format_args!(
                "{} of the {n_all} rows of {} are left out, the first because of {first}",
                dataset.skipped.len(),
                path.display()
            ));
        }
        match dataset.examples.is_empty() {
            true => Err(anyhow::Error::from(trainer::Error::NoExamples)
                .context(format!("cannot use the dataset {}", path.display()))),
            false => Ok(dataset),
        }
    }
}

fn hinted(error: trainer::Error) -> anyhow::Result<Dataset> {
    let hint = match &error {
        trainer::Error::DatasetColumn { .. } => {
            "--text-column and --label-column say which they are"
        }
        trainer::Error::DatasetRows { .. } => "--skip-bad-rows leaves them out",
        _ => return Err(error.into()),
    };
    Err(error).hint(hint)
}

/// Says which label is which, where the dataset says it in other words than the classifier.
pub(crate) fn tell_labels(dataset: &Dataset, labels: &[String], ui: &Ui) -> anyhow::Result<()> {
    let places = dataset.matched_to(labels)?;
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
