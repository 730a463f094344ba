//! Rows become examples, or problems with their place.

use std::collections::BTreeSet;
use std::fmt;

use super::{Dataset, Example, numbered};

/// More labels than this are a mistake: the number in the row is no label.
const MOST_LABELS: u64 = 10_000;

/// Numbers below this may be labels however few of them occur.
const FREELY_NUMBERED: usize = 1000;

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
}

/// What a row has at a place, whatever the file's format.
pub(super) enum Cell {
    Text(String),
    /// Its digits, as the file has them.
    Number(String),
    Other,
    Missing,
}

/// A label as the row has it.
enum Label {
    Name(String),
    Number(u64),
}

/// Makes examples of rows; all problems are found, in the order of the rows.
pub(super) fn collect(rows: Vec<Row>, columns: &Columns) -> Result<Dataset, Vec<RowProblem>> {
    let mut problems = Vec::new();
    let mut found: Vec<(usize, String, Label)> = Vec::new();
    for Row { line, cells } in rows {
        let example = cells.and_then(|cells| example(cells, columns)).and_then(|(text, label)| {
            match (&label, found.first()) {
                (Label::Name(_), Some((_, _, Label::Number(_)))) => {
                    Err("its label is a text, and the first one's is a number")
                }
                (Label::Number(_), Some((_, _, Label::Name(_)))) => {
                    Err("its label is a number, and the first one's is a text")
                }
                _ => Ok((text, label)),
            }
            .map_err(str::to_owned)
        });
        match example {
            Ok((text, label)) => found.push((line, text, label)),
            Err(problem) => problems.push(RowProblem { line, problem }),
        }
    }
    problems.extend(stray(&found));
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() {
        Ok(dataset(found.into_iter().map(|(_, text, label)| (text, label)).collect()))
    } else {
        Err(problems)
    }
}

/// Numbers so far above all others that they are no labels: every number below would be one too.
fn stray(found: &[(usize, String, Label)]) -> Vec<RowProblem> {
    let numbers: BTreeSet<usize> =
        found.iter().filter_map(|(_, _, label)| label.number()).collect();
    let most = (10 * numbers.len()).max(FREELY_NUMBERED);
    let is_stray = |label: &Label| label.number().filter(|number| *number >= most);
    let problem = |(line, _, label): &(usize, String, Label)| {
        let number = is_stray(label)?;
        let problem = format!(
            "its label {number} is far above the {} different ones that there are",
            numbers.len()
        );
        Some(RowProblem { line: *line, problem })
    };
    found.iter().filter_map(problem).collect()
}

/// Numbers the labels.
fn dataset(found: Vec<(String, Label)>) -> Dataset {
    let names: BTreeSet<String> = found.iter().filter_map(|(_, label)| label.name()).collect();
    let highest = found.iter().filter_map(|(_, label)| label.number()).max();
    let labels: Vec<String> = match highest {
        Some(highest) => (0..=highest).map(numbered).collect(),
        None => names.into_iter().collect(),
    };
    let place = |label: &Label| match label {
        Label::Number(number) => *number as usize,
        Label::Name(name) => labels.binary_search(name).expect("every name is among the labels"),
    };
    let examples = found.into_iter().map(|(text, label)| Example { text, label: place(&label) });
    Dataset { examples: examples.collect(), labels }
}

impl Label {
    fn name(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Number(_) => None,
        }
    }

    fn number(&self) -> Option<usize> {
        match self {
            Self::Name(_) => None,
            Self::Number(number) => Some(*number as usize),
        }
    }
}

fn example([text, label]: [Cell; 2], columns: &Columns) -> Result<(String, Label), String> {
    let text = match text {
        Cell::Text(text) if text.trim().is_empty() => return Err("its text is empty".to_owned()),
        Cell::Text(text) => text,
        Cell::Number(_) | Cell::Other => return Err("its text is not a string".to_owned()),
        Cell::Missing => return Err(format!("it has no {:?}", columns.text)),
    };
    let label = match label {
        Cell::Text(name) if name.trim().is_empty() => return Err("its label is empty".to_owned()),
        Cell::Text(name) => Label::Name(name),
        Cell::Number(digits) => match digits.parse().ok().filter(|number| *number < MOST_LABELS) {
            Some(number) => Label::Number(number),
            None => {
                return Err(format!(
                    "its label {digits} is no whole number from 0 to {}",
                    MOST_LABELS - 1
                ));
            }
        },
        Cell::Other => return Err("its label is neither a text nor a number".to_owned()),
        Cell::Missing => return Err(format!("it has no {:?}", columns.label)),
    };
    Ok((text, label))
}
