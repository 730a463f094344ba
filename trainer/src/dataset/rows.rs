//! Rows become texts with the cells of their labels, or problems with their place.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Unread;
use crate::error::Error;

/// Which columns, or keys, hold the text and the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The text's.
    pub text: String,
    /// The second text's, where pairs are classified.
    pub pair: Option<String>,
    /// The label's; several of them hold 0 or 1 each, and are named like labels.
    pub labels: Vec<String>,
}

impl Default for Columns {
    /// `text` and `label`.
    fn default() -> Self {
        Self { text: "text".to_owned(), pair: None, labels: vec!["label".to_owned()] }
    }
}

impl Columns {
    /// All of them, in the order in which a row's cells lie.
    pub(super) fn names(&self) -> Vec<&str> {
        let texts = [Some(&self.text), self.pair.as_ref()];
        texts.into_iter().flatten().chain(&self.labels).map(String::as_str).collect()
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The file.
    pub path: PathBuf,
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

/// A row's cells, in the order of the columns, and its place.
pub(super) struct Row {
    line: usize,
    cells: Result<Vec<Cell>, String>,
}

impl Row {
    pub(super) fn new(line: usize, cells: Result<Vec<Cell>, String>) -> Self {
        Self { line, cells }
    }

    /// The names of what the row has in place of a cell.
    fn others(&self, cell: usize) -> Option<&[String]> {
        match self.cells.as_ref().ok()?.get(cell)? {
            Cell::Absent(others) => Some(others),
            _ => None,
        }
    }
}

/// What a row has at a place, whatever the file's format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// A number or a truth value, as the file writes it.
    Plain(String),
    List(Vec<Self>),
    Other,
    /// Nothing, where something could be.
    Missing,
    /// There is no such place, only these.
    Absent(Vec<String>),
}

/// Where a row is: its file among all, its line, and its number, for several may be in a line.
pub(super) type Place = (usize, usize, usize);

/// A row whose texts are there; what is said of its label is not looked at yet.
pub(super) struct Labelled {
    pub(super) place: Place,
    pub(super) text: String,
    pub(super) pair: Option<String>,
    pub(super) labels: Vec<Cell>,
}

/// What is wrong with rows, while more is looked for.
pub(super) type Problems = Vec<(Place, String)>;

/// The texts of all rows that have some.
pub(super) fn labelled(
    files: Vec<(&Path, Vec<Row>)>,
    columns: &Columns,
    problems: &mut Problems,
) -> Result<Vec<Labelled>, Error> {
    let mut found = Vec::new();
    for (file, (path, rows)) in files.into_iter().enumerate() {
        check_columns(&rows, columns).map_err(|unread| unread.of(path))?;
        for (row, Row { line, cells }) in rows.into_iter().enumerate() {
            let place = (file, line, row);
            match cells.and_then(|cells| texts(cells, columns)) {
                Ok((text, pair, labels)) => found.push(Labelled { place, text, pair, labels }),
                Err(problem) => problems.push((place, problem)),
            }
        }
    }
    Ok(found)
}

/// A key that no row has is no row's fault.
fn check_columns(rows: &[Row], columns: &Columns) -> Result<(), Unread> {
    for (cell, column) in columns.names().into_iter().enumerate() {
        if let Some(others) = rows.first().and_then(|row| row.others(cell))
            && rows.iter().all(|row| row.others(cell).is_some())
        {
            return Err(Unread::Column { name: column.to_owned(), found: others.to_vec() });
        }
    }
    Ok(())
}

type Texts = (String, Option<String>, Vec<Cell>);

fn texts(cells: Vec<Cell>, columns: &Columns) -> Result<Texts, String> {
    let mut cells = cells.into_iter();
    let mut text = |column: &str, what: &str| match cells.next() {
        Some(Cell::Text(text)) if text.trim().is_empty() => Err(format!("its {what} is empty")),
        Some(Cell::Text(text)) => Ok(text),
        Some(Cell::Plain(_) | Cell::List(_) | Cell::Other) => {
            Err(format!("its {what} is not a string"))
        }
        Some(Cell::Missing | Cell::Absent(_)) | None => Err(format!("it has no {column:?}")),
    };
    let first = text(&columns.text, "text")?;
    let pair = columns.pair.as_ref().map(|column| text(column, "second text")).transpose()?;
    Ok((first, pair, cells.collect()))
}
