//! What is said of labels, in whatever form, becomes what is right for each text.

use std::collections::{BTreeSet, HashMap};

use checkpoint::Task;

use super::labels::{self, Kind};
use super::rows::{Cell, Labelled, Place, Problems};
use super::{Dataset, Example, ReadOptions, Target, short};

/// How the labels of a dataset are said.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// One cell has one label.
    One,
    /// One cell has some labels, or none.
    Several,
    /// One cell has a list with 0 or 1 for each label.
    Hot,
    /// Each cell has 0 or 1, and its column is a label.
    Flags,
    /// One cell has a figure.
    Figure,
}

/// Labels by what is written, before they have numbers.
type Found<T> = Vec<(Labelled, T)>;

/// Makes examples of rows; rows whose labels cannot be used become problems.
pub(super) fn dataset(
    rows: Vec<Labelled>,
    options: &ReadOptions,
    problems: &mut Problems,
) -> Result<Dataset, String> {
    let rows: Vec<Labelled> = rows.into_iter().map(|row| with_lists(row, options)).collect();
    let form = form(&rows, options)?;
    let (task, labels, targets) = match form {
        Form::One => {
            let found = each(rows, problems, |cells| Ok(vec![one(cells, options)?]));
            let (labels, targets) = numbered(found, options, problems);
            let only = |target: Vec<usize>| Target::Label(target[0]);
            (Task::SingleLabel, labels, map(targets, only))
        }
        Form::Several => {
            let found = each(rows, problems, |cells| several(cells, options));
            let (labels, targets) = numbered(found, options, problems);
            (Task::MultiLabel, labels, map(targets, Target::Labels))
        }
        Form::Hot => {
            let n_labels = rows.iter().map(|row| items(row).len()).max().unwrap_or(0);
            let found = each(rows, problems, |cells| match cells {
                [Cell::List(items)] => flags(items),
                _ => Err(NO_LABEL.to_owned()),
            });
            let labels = (0..n_labels).map(labels::bare).collect();
            (Task::MultiLabel, labels, map(found, Target::Labels))
        }
        Form::Flags => {
            let found = each(rows, problems, flags);
            (Task::MultiLabel, options.columns.labels.clone(), map(found, Target::Labels))
        }
        Form::Figure => {
            let found = each(rows, problems, figure);
            (Task::Regression, vec![labels::bare(0)], map(found, Target::Value))
        }
    };
    let example =
        |(row, target): (Labelled, Target)| Example { text: row.text, pair: row.pair, target };
    let examples = targets.into_iter().map(example).collect();
    Ok(Dataset { examples, labels, skipped: Vec::new(), task })
}

fn map<T>(found: Found<T>, of: impl Fn(T) -> Target) -> Found<Target> {
    found.into_iter().map(|(row, target)| (row, of(target))).collect()
}

/// A list is one also where it is written in a cell of text, as JSON or as Python writes it.
fn with_lists(mut row: Labelled, options: &ReadOptions) -> Labelled {
    if options.labels_are_names {
        return row;
    }
    for cell in &mut row.labels {
        let Cell::Text(text) = cell else { continue };
        let text = text.trim();
        if !(text.starts_with('[') && text.ends_with(']')) {
            continue;
        }
        let is_pythons = !text.contains(['"', '\\']);
        let document = if is_pythons { text.replace('\'', "\"") } else { text.to_owned() };
        if let Ok(value @ serde_json::Value::Array(_)) = serde_json::from_str(&document) {
            *cell = super::json::cell(value);
        }
    }
    row
}

fn form(rows: &[Labelled], options: &ReadOptions) -> Result<Form, String> {
    let n_columns = options.columns.labels.len();
    let single = |row: &Labelled| matches!(row.labels[..], [Cell::List(_)]);
    let is_listed = || options.label_separator.is_some() || rows.iter().any(single);
    refuse_contradictions(options)?;
    match options.task {
        Some(Task::Regression) => Ok(Form::Figure),
        Some(Task::SingleLabel) => Ok(Form::One),
        _ if n_columns > 1 => Ok(Form::Flags),
        Some(Task::MultiLabel)
            if !is_listed() && rows.iter().all(|row| flag(&row.labels[0]).is_ok()) =>
        {
            Ok(Form::Flags)
        }
        None if !is_listed() => Ok(Form::One),
        _ if are_hot(rows) => Ok(Form::Hot),
        _ => Ok(Form::Several),
    }
}

/// What means nothing for what is learned is not passed over.
fn refuse_contradictions(options: &ReadOptions) -> Result<(), String> {
    let has_columns = options.columns.labels.len() > 1;
    let problem = match options.task {
        Some(Task::Regression) if has_columns => "a regression learns from one column of figures",
        Some(Task::Regression) if options.labels_are_names => "figures are no names",
        Some(Task::SingleLabel) if has_columns => {
            "several columns of labels are for several labels at once"
        }
        Some(Task::SingleLabel | Task::Regression) if options.label_separator.is_some() => {
            "a separator of labels is for several labels at once"
        }
        _ if has_columns && options.label_separator.is_some() => {
            "labels are in several columns, or in one with a separator, and not in both"
        }
        _ => return Ok(()),
    };
    Err(problem.to_owned())
}

fn items(row: &Labelled) -> &[Cell] {
    if let [Cell::List(items)] = &row.labels[..] { items } else { &[] }
}

/// Lists of 0 and 1, all as long: one that has either twice names no labels.
fn are_hot(rows: &[Labelled]) -> bool {
    let n_labels = rows.first().map_or(0, |row| items(row).len());
    let repeats = |row: &Labelled| {
        let n_right = items(row).iter().filter(|item| flag(item) == Ok(true)).count();
        n_right > 1 || n_labels - n_right > 1
    };
    n_labels > 0
        && rows.iter().all(|row| {
            items(row).len() == n_labels && items(row).iter().all(|item| flag(item).is_ok())
        })
        && rows.iter().any(repeats)
}

const NO_LABEL: &str = "its label is neither a text nor a number";

/// Takes the labels of each row; what is wrong with them is a problem of the row.
fn each<T>(
    rows: Vec<Labelled>,
    problems: &mut Problems,
    take: impl Fn(&[Cell]) -> Result<T, String>,
) -> Found<T> {
    let mut found = Vec::new();
    for row in rows {
        match take(&row.labels) {
            Ok(taken) => found.push((row, taken)),
            Err(problem) => problems.push((row.place, problem)),
        }
    }
    found
}

/// What one cell says.
fn one(cells: &[Cell], options: &ReadOptions) -> Result<String, String> {
    match &cells[0] {
        Cell::Text(label) if label.trim().is_empty() => Err("its label is empty".to_owned()),
        Cell::Text(label) | Cell::Plain(label) => Ok(labels::written(label).to_owned()),
        Cell::List(_) if options.task == Some(Task::SingleLabel) => {
            Err("its label is a list, and one label is learned".to_owned())
        }
        Cell::List(_) | Cell::Other => Err(NO_LABEL.to_owned()),
        Cell::Missing | Cell::Absent(_) => {
            Err(format!("it has no {:?}", options.columns.labels[0]))
        }
    }
}

/// The labels of a cell, each once; a cell of text without any is none of them.
fn several(cells: &[Cell], options: &ReadOptions) -> Result<Vec<String>, String> {
    let found = match (&cells[0], &options.label_separator) {
        (Cell::List(items), _) => items
            .iter()
            .map(|item| one(std::slice::from_ref(item), options))
            .collect::<Result<Vec<_>, _>>()?,
        (Cell::Text(text), Some(separator)) => {
            let parts = text.split(separator.as_str()).map(labels::written);
            parts.filter(|label| !label.is_empty()).map(str::to_owned).collect()
        }
        _ => vec![one(cells, options)?],
    };
    let mut seen = BTreeSet::new();
    match found.iter().find(|label| !seen.insert(*label)) {
        Some(label) => Err(format!("it has the label {} twice", short(label))),
        None => Ok(found),
    }
}

/// Whether a label is right, as it is written in its own cell.
fn flag(cell: &Cell) -> Result<bool, String> {
    let (Cell::Text(text) | Cell::Plain(text)) = cell else {
        return Err("it has neither 0 nor 1 for one of its labels".to_owned());
    };
    match labels::written(text).to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("it has {} for one of its labels, and neither 0 nor 1", short(text))),
    }
}

/// The places of those that are right.
fn flags(cells: &[Cell]) -> Result<Vec<usize>, String> {
    let mut right = Vec::new();
    for (label, cell) in cells.iter().enumerate() {
        if flag(cell)? {
            right.push(label);
        }
    }
    Ok(right)
}

fn figure(cells: &[Cell]) -> Result<f64, String> {
    let (Cell::Text(text) | Cell::Plain(text)) = &cells[0] else {
        return Err("its label is no number".to_owned());
    };
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("its label {} is no number", short(text))),
    }
}

/// Numbers the labels: those of each row by their places among all.
fn numbered(
    found: Found<Vec<String>>,
    options: &ReadOptions,
    problems: &mut Problems,
) -> (Vec<String>, Found<Vec<usize>>) {
    let mut found = if options.labels_are_names { found } else { of_one_kind(found, problems) };
    let is_truth =
        |label: &String| label.eq_ignore_ascii_case("true") || label.eq_ignore_ascii_case("false");
    if !options.labels_are_names && found.iter().flat_map(|(_, labels)| labels).all(is_truth) {
        // Python writes them with a capital.
        found
            .iter_mut()
            .flat_map(|(_, labels)| labels)
            .for_each(|label| label.make_ascii_lowercase());
    }
    let all = found.iter().flat_map(|(_, labels)| labels);
    let (labels, places) = labels::numbered(all, options.labels_are_names);
    let places: HashMap<&str, usize> =
        places.iter().enumerate().map(|(place, label)| (label.as_str(), place)).collect();
    let numbers = |labels: Vec<String>| {
        let place = |label: &String| places[label.as_str()];
        let mut numbers: Vec<usize> = labels.iter().map(place).collect();
        numbers.sort_unstable();
        numbers
    };
    let found = found.into_iter().map(|(row, labels)| (row, numbers(labels))).collect();
    (labels, found)
}

/// Numbers or names: what fewer labels are is a problem of their rows.
fn of_one_kind(found: Found<Vec<String>>, problems: &mut Problems) -> Found<Vec<String>> {
    let kinds = || found.iter().flat_map(|(_, labels)| labels).map(|label| labels::kind(label));
    let count = |kind| kinds().filter(|found| *found == kind).count();
    let (n_whole, n_names) = (count(Kind::Whole), count(Kind::Name));
    let first_is_whole = kinds().find(|kind| *kind != Kind::Fraction) == Some(Kind::Whole);
    let are_numbers = n_whole > n_names || (n_whole == n_names && first_is_whole);
    let problem = |label: &String| {
        let shown = short(label);
        match labels::kind(label) {
            Kind::Fraction => Some(format!("its label {shown} is no whole number")),
            Kind::Name if are_numbers => {
                Some(format!("its label {shown} is a text, and the others are numbers"))
            }
            Kind::Whole if !are_numbers => {
                Some(format!("its label {shown} is a number, and the others are texts"))
            }
            Kind::Whole | Kind::Name => None,
        }
    };
    let mut kept = Vec::new();
    let mut refused: Vec<(Place, String)> = Vec::new();
    for (row, labels) in found {
        match labels.iter().find_map(problem) {
            Some(problem) => refused.push((row.place, problem)),
            None => kept.push((row, labels)),
        }
    }
    problems.extend(refused);
    kept
}
