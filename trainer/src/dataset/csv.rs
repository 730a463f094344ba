//! Comma-separated values, as RFC 4180 has them: quotes may hold separators, line ends and doubled
//! quotes.

use super::rows::{Cell, Columns, Row};

/// What separates the cells: a comma, or a tab in `.tsv`.
pub(super) fn parse(text: &str, separator: char, columns: &Columns) -> Result<Vec<Row>, String> {
    let mut records = Records { rest: text, separator, line: 1 };
    let Some((_, header)) = records.next() else { return Err("it has no header".to_owned()) };
    let header = header?;
    let place = |name: &str| {
        let mut places = header
            .iter()
            .enumerate()
            .filter(|(_, found)| found.trim() == name)
            .map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(format!("it has two columns {name:?}")),
            (None, _) => {
                let hint = if header.len() == 1 && header[0].contains(';') {
                    ": is it separated by semicolons?"
                } else {
                    ""
                };
                Err(format!("it has no column {name:?}, only {}{hint}", header.join(", ")))
            }
        }
    };
    let places = [place(&columns.text)?, place(&columns.label)?];
    let row = |(line, record): (usize, Result<Vec<String>, String>)| {
        Row::new(line, record.and_then(|record| cells(record, &places, header.len())))
    };
    Ok(records.map(row).collect())
}

fn cells(
    mut record: Vec<String>,
    places: &[usize; 2],
    n_columns: usize,
) -> Result<[Cell; 2], String> {
    if record.len() != n_columns {
        return Err(format!("it has {} cells, and the header has {n_columns}", record.len()));
    }
    let [text, label] = places.map(|place| std::mem::take(&mut record[place]));
    let label = label.trim().to_owned();
    let is_number = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    Ok([Cell::Text(text), if is_number { Cell::Number(label) } else { Cell::Text(label) }])
}

/// Records, each with the line that it begins in, from 1. Empty lines are none.
struct Records<'a> {
    rest: &'a str,
    separator: char,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<Vec<String>, String>);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) =
            self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'))
        {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        Some((line, self.record()))
    }
}

impl Records<'_> {
    fn record(&mut self) -> Result<Vec<String>, String> {
        let mut cells = Vec::new();
        loop {
            let cell = if self.rest.starts_with('"') { self.quoted()? } else { self.plain() };
            cells.push(cell);
            if let Some(rest) = self.rest.strip_prefix(self.separator) {
                self.rest = rest;
                continue;
            }
            let after = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            match after {
                Some(rest) => {
                    self.rest = rest;
                    self.line += 1;
                }
                None if self.rest.is_empty() => (),
                None => {
                    self.skip_line();
                    return Err("there is text after a closing quote".to_owned());
                }
            }
            return Ok(cells);
        }
    }

    fn plain(&mut self) -> String {
        let ends = |c: char| c == self.separator || c == '\n';
        let (cell, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        let is_line_end = rest.is_empty() || rest.starts_with('\n');
        match cell.strip_suffix('\r') {
            Some(cell) if is_line_end => cell.to_owned(),
            _ => cell.to_owned(),
        }
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut cell = String::new();
        let mut rest = &self.rest[1..];
        loop {
            let Some(end) = rest.find('"') else {
                self.rest = "";
                return Err("a quote is never closed".to_owned());
            };
            cell.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    cell.push('"');
                    rest = more;
                }
                None => break,
            }
        }
        self.line += cell.matches('\n').count();
        self.rest = rest;
        Ok(cell)
    }

    fn skip_line(&mut self) {
        let end = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        self.line += usize::from(end > 0);
        self.rest = &self.rest[end..];
    }
}
