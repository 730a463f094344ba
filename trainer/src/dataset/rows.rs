//! Rows become examples, or problems with their place.

use std::collections::HashMap;
use std::fmt;

use super::labels::{self, Kind};
use super::{Dataset, Example, ReadOptions, Unread, short};

/// Which columns, or keys, hold the text and the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The text's.
    pub text: String,
    /// The label's.
    pub label: String,
}

impl Default for Columns {
    /// `text` and `label`.
    fn default() -> Self {
        Self { text: "text".to_owned(), label: "label".to_owned() }
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Where it begins: a line of the file from 1; in a Parquet file, which has no lines, a row
    /// from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// A row's text and label, and its place.
pub(super) struct Row {
    line: usize,
    cells: Result<[Cell; 2], String>,
}

impl Row {
    pub(super) fn new(line: usize, cells: Result<[Cell; 2], String>) -> Self {
        Self { line, cells }
    }

    /// The names of what the row has in place of its text, or of its label.
    fn others(&self, cell: usize) -> Option<&[String]> {
        match self.cells.as_ref().ok()?.get(cell)? {
            Cell::Absent(others) => Some(others),
            _ => None,
        }
    }
}

/// What a row has at a place, whatever the file's format.
pub(super) enum Cell {
    Text(String),
    /// A number or a truth value, as the file writes it.
    Plain(String),
    Other,
    /// Nothing, where something could be.
    Missing,
    /// There is no such place, only these.
    Absent(Vec<String>),
}

/// An example before its label has a number.
struct Found {
    line: usize,
    text: String,
    label: String,
}

/// Makes examples of rows; all problems are found, in the order of the rows.
pub(super) fn collect(rows: Vec<Row>, options: &ReadOptions) -> Result<Dataset, Unread> {
    check_columns(&rows, &options.columns)?;
    let (mut problems, mut found) = (Vec::new(), Vec::new());
    for Row { line, cells } in rows {
        match cells.and_then(|cells| example(cells, &options.columns)) {
            Ok((text, label)) => found.push(Found { line, text, label }),
            Err(problem) => problems.push(RowProblem { line, problem }),
        }
    }
    if !options.labels_are_names {
        found = of_one_kind(found, &mut problems);
    }
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() || options.skip_bad_rows {
        Ok(Dataset { skipped: problems, ..dataset(found, options.labels_are_names) })
    } else {
        Err(Unread::Rows(problems))
    }
}

/// A key that no row has is no row's fault.
fn check_columns(rows: &[Row], columns: &Columns) -> Result<(), Unread> {
    for (cell, column) in [&columns.text, &columns.label].into_iter().enumerate() {
        if let Some(others) = rows.first().and_then(|row| row.others(cell))
            && rows.iter().all(|row| row.others(cell).is_some())
        {
            return Err(Unread::Column { name: column.clone(), found: others.to_vec() });
        }
    }
    Ok(())
}

/// Numbers or names: what fewer rows have is a problem of theirs.
fn of_one_kind(found: Vec<Found>, problems: &mut Vec<RowProblem>) -> Vec<Found> {
    let kinds: Vec<Kind> = found.iter().map(|found| labels::kind(&found.label)).collect();
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    let (n_whole, n_names) = (count(Kind::Whole), count(Kind::Name));
    let first_is_whole = kinds.iter().find(|kind| **kind != Kind::Fraction) == Some(&Kind::Whole);
    let are_numbers = n_whole > n_names || (n_whole == n_names && first_is_whole);
    let mut kept = Vec::new();
    for (row, kind) in found.into_iter().zip(kinds) {
        let label = short(&row.label);
        let problem = match kind {
            Kind::Fraction => format!("its label {label} is no whole number"),
            Kind::Name if are_numbers => {
                format!("its label {label} is a text, and the others are numbers")
            }
            Kind::Whole if !are_numbers => {
                format!("its label {label} is a number, and the others are texts")
            }
            Kind::Whole | Kind::Name => {
                kept.push(row);
                continue;
            }
        };
        problems.push(RowProblem { line: row.line, problem });
    }
    kept
}

/// Numbers the labels.
fn dataset(found: Vec<Found>, are_names: bool) -> Dataset {
    let (labels, places) = labels::numbered(found.iter().map(|found| &found.label), are_names);
    let places: HashMap<&str, usize> =
        places.iter().enumerate().map(|(place, label)| (label.as_str(), place)).collect();
    let place = |label: &str| *places.get(label).expect("every label was numbered");
    let examples = found.into_iter().map(|Found { text, label, .. }| {
        let label = place(&label);
        Example { text, label }
    });
    Dataset { examples: examples.collect(), labels, skipped: Vec::new() }
}

fn example([text, label]: [Cell; 2], columns: &Columns) -> Result<(String, String), String> {
    let text = match text {
        Cell::Text(text) if text.trim().is_empty() => return Err("its text is empty".to_owned()),
        Cell::Text(text) => text,
        Cell::Plain(_) | Cell::Other => return Err("its text is not a string".to_owned()),
        Cell::Missing | Cell::Absent(_) => return Err(format!("it has no {:?}", columns.text)),
    };
    let label = match label {
        Cell::Text(label) if label.trim().is_empty() => return Err("its label is empty".to_owned()),
        Cell::Text(label) | Cell::Plain(label) => labels::written(&label).to_owned(),
        Cell::Other => return Err("its label is neither a text nor a number".to_owned()),
        Cell::Missing | Cell::Absent(_) => return Err(format!("it has no {:?}", columns.label)),
    };
    Ok((text, label))
}
