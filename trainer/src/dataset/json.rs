//! Rows of JSON: a list, `{"samples": […]}`, or one object a line.

use std::path::Path;

use serde_json::{Map, Value};

use super::rows::{Cell, Columns, Row};

/// Finds the rows of a document.
pub(super) fn parse(text: &str, path: &Path, columns: &Columns) -> serde_json::Result<Vec<Row>> {
    let is_lines =
        path.extension().is_some_and(|extension| extension == "jsonl" || extension == "ndjson");
    if is_lines {
        return Ok(lines(text, columns));
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(rows)) => Ok(listed(text, rows, columns)),
        Ok(Value::Object(mut document)) => match document.remove("samples") {
            Some(Value::Array(rows)) => Ok(listed(text, rows, columns)),
            // One line is a file of one line; over several lines it is a document of another kind.
            _ if text.trim().lines().count() > 1 => {
                Err(serde::de::Error::custom("it has no list at `samples`"))
            }
            _ => Ok(lines(text, columns)),
        },
        Ok(_) => Ok(lines(text, columns)),
        Err(_) if has_lines(text) => Ok(lines(text, columns)),
        Err(error) => Err(error),
    }
}

/// The rows of a list, each with the line that it begins in.
fn listed(text: &str, rows: Vec<Value>, columns: &Columns) -> Vec<Row> {
    let mut lines = lines_of_items(text).into_iter();
    rows.into_iter().map(|row| Row::new(lines.next().unwrap_or(1), cells(row, columns))).collect()
}

/// One row a line; empty lines are none.
fn lines(text: &str, columns: &Columns) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| Row::new(n + 1, line_cells(line, columns))).collect()
}

fn line_cells(line: &str, columns: &Columns) -> Result<[Cell; 2], String> {
    cells(serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?, columns)
}

/// Text and label of one row; other fields are not ours.
fn cells(row: Value, columns: &Columns) -> Result<[Cell; 2], String> {
    let Value::Object(mut row) = row else {
        return Err("no object with text and label".to_owned());
    };
    Ok([&columns.text, &columns.label].map(|name| match row.remove(name) {
        Some(Value::String(text)) => Cell::Text(text),
        Some(Value::Number(number)) => Cell::Number(number.to_string()),
        Some(_) => Cell::Other,
        None => Cell::Missing,
    }))
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
