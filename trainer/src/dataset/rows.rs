//! Rows of JSON become examples, or problems with their place.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Dataset, Example, numbered};

/// More labels than this are a mistake: the number in the row is no label.
const MOST_LABELS: u64 = 10_000;

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Where it is: `row 3` of a list, `line 3` of JSON lines, both from 1.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// A row and its place.
pub(super) struct Row {
    place: String,
    value: Result<Value, serde_json::Error>,
}

/// A label as the row has it.
enum Label {
    Name(String),
    Number(u64),
}

/// Finds the rows of a document.
pub(super) fn parse(text: &str, path: &Path) -> serde_json::Result<Vec<Row>> {
    let is_lines = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "ndjson");
    if is_lines {
        return Ok(lines(text));
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(rows)) => Ok(numbered_rows(rows)),
        Ok(Value::Object(mut document)) => match document.remove("samples") {
            Some(Value::Array(rows)) => Ok(numbered_rows(rows)),
            _ => Ok(lines(text)),
        },
        Ok(_) => Ok(lines(text)),
        Err(_) if has_lines(text) => Ok(lines(text)),
        Err(error) => Err(error),
    }
}

/// Makes examples of rows; all problems are found.
pub(super) fn collect(rows: Vec<Row>) -> Result<Dataset, Vec<RowProblem>> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for Row { place, value } in rows {
        match value.map_err(|error| format!("no JSON: {error}")).and_then(|value| example(&value)) {
            Ok((text, label)) => found.push((place, text, label)),
            Err(problem) => problems.push(RowProblem { place, problem }),
        }
    }
    let has_names = matches!(found.first(), Some((_, _, Label::Name(_))));
    for (place, _, label) in &found {
        let problem = match label {
            Label::Name(_) if !has_names => "its label is a text, and the first one's is a number",
            Label::Number(_) if has_names => "its label is a number, and the first one's is a text",
            _ => continue,
        };
        problems.push(RowProblem { place: place.clone(), problem: problem.to_owned() });
    }
    if problems.is_empty() { Ok(dataset(found)) } else { Err(problems) }
}

/// Numbers the labels.
fn dataset(found: Vec<(String, String, Label)>) -> Dataset {
    let names: BTreeSet<String> = found.iter().filter_map(|(_, _, label)| label.name()).collect();
    let highest = found.iter().filter_map(|(_, _, label)| label.number()).max();
    let labels: Vec<String> = match highest {
        Some(highest) => (0..=highest).map(numbered).collect(),
        None => names.into_iter().collect(),
    };
    let place = |label: &Label| match label {
        Label::Number(number) => *number as usize,
        Label::Name(name) => labels.binary_search(name).expect("every name is among the labels"),
    };
    let examples = found.into_iter().map(|(_, text, label)| Example { text, label: place(&label) });
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

/// The text and the label of one row; other fields are not ours.
fn example(row: &Value) -> Result<(String, Label), String> {
    let Some(row) = row.as_object() else { return Err("no object with text and label".to_owned()) };
    Ok((text(row)?, label(row)?))
}

fn text(row: &Map<String, Value>) -> Result<String, String> {
    match row.get("text") {
        Some(Value::String(text)) if text.trim().is_empty() => Err("its text is empty".to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err("its text is not a string".to_owned()),
        None => Err("it has no text".to_owned()),
    }
}

fn label(row: &Map<String, Value>) -> Result<Label, String> {
    match row.get("label") {
        Some(Value::String(name)) if name.is_empty() => Err("its label is empty".to_owned()),
        Some(Value::String(name)) => Ok(Label::Name(name.clone())),
        Some(Value::Number(number)) => match number.as_u64().filter(|number| *number < MOST_LABELS) {
            Some(number) => Ok(Label::Number(number)),
            None => Err(format!("its label {number} is no whole number from 0 to {}", MOST_LABELS - 1)),
        },
        Some(_) => Err("its label is neither a text nor a number".to_owned()),
        None => Err("it has no label".to_owned()),
    }
}

fn numbered_rows(rows: Vec<Value>) -> Vec<Row> {
    let place = |n| format!("row {}", n + 1);
    rows.into_iter().enumerate().map(|(n, row)| Row { place: place(n), value: Ok(row) }).collect()
}

/// One row a line; empty lines are none.
fn lines(text: &str) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| Row { place: format!("line {}", n + 1), value: serde_json::from_str(line) }).collect()
}

/// Whether the first line is a whole object: JSON lines, and not one broken document.
fn has_lines(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| serde_json::from_str::<Map<String, Value>>(line).is_ok())
}
