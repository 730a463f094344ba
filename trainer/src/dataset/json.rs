//! Rows of JSON: a list, `{"samples": […]}`, or one object a line.

use checkpoint::Few;
use serde_json::{Map, Value};

use super::Unread;
use super::rows::{Cell, Row};

/// Finds the rows of a document; `extension`: that of the file's name, in small letters.
pub(super) fn parse(text: &str, extension: &str, columns: &[&str]) -> Result<Vec<Row>, Unread> {
    match extension {
        "jsonl" | "ndjson" => return Ok(lines(text, columns)),
        "json" => (),
        _ if text.trim_start().starts_with(['{', '[']) => (),
        _ => {
            let problem = "its name does not tell what it is: it ends in .json, .jsonl, .ndjson, .csv, .tsv or .parquet";
            return Err(problem.to_owned().into());
        }
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(rows)) => Ok(listed(text, rows, columns)),
        Ok(Value::Object(mut document)) => match document.remove("samples") {
            Some(Value::Array(rows)) => Ok(listed(text, rows, columns)),
            // One line is a file of one line; over several lines it is a document of another kind.
            _ if text.trim().lines().count() > 1 => {
                Err(Unread::Json(serde::de::Error::custom("it has no list at `samples`")))
            }
            _ => Ok(lines(text, columns)),
        },
        Ok(_) => Ok(lines(text, columns)),
        Err(_) if has_lines(text) => Ok(lines(text, columns)),
        Err(error) => Err(Unread::Json(error)),
    }
}

/// The rows of a list, each with the line that it begins in.
fn listed(text: &str, rows: Vec<Value>, columns: &[&str]) -> Vec<Row> {
    let mut lines = lines_of_items(text).into_iter();
    rows.into_iter().map(|row| Row::new(lines.next().unwrap_or(1), cells(row, columns))).collect()
}

/// One row a line; empty lines are none.
fn lines(text: &str, columns: &[&str]) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| Row::new(n + 1, line_cells(line, columns))).collect()
}

fn line_cells(line: &str, columns: &[&str]) -> Result<Vec<Cell>, String> {
    let row = serde_json::from_str(line).map_err(|error| {
        // Its line is always the first.
        let error = error.to_string().replace(" at line 1 column ", " at column ");
        let half = ["unexpected end of hex escape", "lone leading surrogate in hex escape"];
        let is_half = line.contains("\\ud") || line.contains("\\uD");
        let error = half
            .iter()
            .filter(|_| is_half)
            .fold(error, |error, words| error.replace(words, "a surrogate without its other half"));
        format!("no JSON: {error}")
    });
    cells(row?, columns)
}

/// Text and label of one row; other fields are not ours.
fn cells(row: Value, columns: &[&str]) -> Result<Vec<Cell>, String> {
    let Value::Object(mut row) = row else {
        return Err("no object with text and label".to_owned());
    };
    let others: Vec<String> = match columns.iter().all(|column| row.contains_key(*column)) {
        true => Vec::new(),
        false => row.keys().take(Few::<String>::SHOWN).cloned().collect(),
    };
    let cell = |name: &&str| match row.remove(*name) {
        Some(value) => cell(value),
        None => Cell::Absent(others.clone()),
    };
    Ok(columns.iter().map(cell).collect())
}

/// What a value says.
pub(super) fn cell(value: Value) -> Cell {
    match value {
        Value::String(text) => Cell::Text(text),
        Value::Number(number) => Cell::Plain(number.to_string()),
        Value::Bool(truth) => Cell::Plain(truth.to_string()),
        Value::Null => Cell::Missing,
        Value::Array(items) => Cell::List(items.into_iter().map(cell).collect()),
        Value::Object(_) => Cell::Other,
    }
}

/// The lines, from 1, in which the items of the document's rows begin: those of the list itself, or
/// of the list at `samples`. The text is known to be JSON.
fn lines_of_items(text: &str) -> Vec<usize> {
    let (mut found, mut line, mut depth) = (Vec::new(), 1, 0_usize);
    // The depth of the list's items, once inside of the list.
    let mut items: Option<usize> = None;
    let (mut key, mut after_separator, mut bytes) = (None, false, text.bytes().enumerate());
    while let Some((at, byte)) = bytes.next() {
        let begins_item =
            items == Some(depth) && after_separator && !byte.is_ascii_whitespace() && byte != b']';
        if begins_item {
            found.push(line);
            after_separator = false;
        }
        match byte {
            b'\n' => line += 1,
            b'"' => key = string(text, at, &mut bytes).filter(|_| depth == 1),
            b'[' | b'{' => {
                depth += 1;
                let is_rows =
                    byte == b'[' && (depth == 1 || (depth == 2 && key == Some("samples")));
                if is_rows && items.is_none() {
                    (items, after_separator) = (Some(depth), true);
                }
            }
            b']' | b'}' => {
                if items == Some(depth) {
                    return found;
                }
                depth -= 1;
            }
            b',' if items == Some(depth) => after_separator = true,
            _ => (),
        }
    }
    found
}

/// Skips a string that begins at `at`; returns what is between its quotes. JSON strings hold no
/// line ends.
fn string<'a>(
    text: &'a str,
    at: usize,
    bytes: &mut impl Iterator<Item = (usize, u8)>,
) -> Option<&'a str> {
    while let Some((end, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return text.get(at + 1..end),
            _ => (),
        }
    }
    None
}

/// Whether the first line is a whole object: JSON lines, and not one broken document.
fn has_lines(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| serde_json::from_str::<Map<String, Value>>(line).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_know_the_line_they_begin_in() {
        assert_eq!(lines_of_items("[1,\n2, [3,\n4],\n\n{\"a\": \",[\\\"\"}]"), [1, 2, 2, 5]);
        assert_eq!(
            lines_of_items("{\"x\": [0,\n0], \"samples\": [\n{},\n{}], \"y\": [1, 2]}"),
            [3, 4]
        );
        assert!(lines_of_items("{\"samples\": []}").is_empty());
    }
}
