//! Comma-separated values, as RFC 4180 has them: quotes may hold separators, line ends and doubled
//! quotes.

use csv::{Reader, ReaderBuilder, StringRecord};

use super::Unread;
use super::rows::{Cell, Columns, Row};

/// What separates the cells: a comma, or a tab in `.tsv`.
pub(super) fn parse(text: &str, separator: u8, columns: &Columns) -> Result<Vec<Row>, Unread> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(separator).flexible(true).has_headers(false);
    let mut records =
        Records { reader: builder.from_reader(text.as_bytes()), text, separator: separator.into() };
    let Some((_, header)) = records.next() else {
        return Err("it has no header".to_owned().into());
    };
    let header = header?;
    let place = |name: &str| {
        let mut places = header
            .iter()
            .enumerate()
            .filter(|(_, found)| found.trim() == name)
            .map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(Unread::Form(format!("it has two columns {name:?}"))),
            (None, _) => Err(match other_separator(&header, separator) {
                Some(problem) => Unread::Form(format!("it has no column {name:?}: {problem}")),
                None => {
                    let found = header.iter().map(str::to_owned).collect();
                    Unread::Column { name: name.to_owned(), found }
                }
            }),
        }
    };
    let places = [place(&columns.text)?, place(&columns.label)?];
    let row = |(line, record): (usize, Result<StringRecord, String>)| {
        Row::new(line, record.and_then(|record| cells(&record, places, header.len())))
    };
    Ok(records.map(row).collect())
}

fn cells(record: &StringRecord, places: [usize; 2], n_columns: usize) -> Result<[Cell; 2], String> {
    if record.len() != n_columns {
        return Err(format!("it has {} cells, and the header has {n_columns}", record.len()));
    }
    let [text, label] = places.map(|place| record[place].to_owned());
    Ok([Cell::Text(text), Cell::Text(label)])
}

/// What a header of a single column says of how the others are separated.
fn other_separator(header: &StringRecord, separator: u8) -> Option<&'static str> {
    let [whole] = header.iter().collect::<Vec<_>>()[..] else { return None };
    match separator {
        b',' if whole.contains('\t') => {
            Some("it is separated by tabs, and the name of such a file ends in .tsv")
        }
        b'\t' if whole.contains(',') => {
            Some("it is separated by commas, and the name of such a file ends in .csv")
        }
        _ if whole.contains(';') => Some("it is separated by semicolons: separate it by commas"),
        _ => None,
    }
}

/// Records, each with the line that it begins in, from 1. Empty lines are none.
struct Records<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
    separator: char,
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<StringRecord, String>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = StringRecord::new();
        let (start, line) = self.place();
        let is_there = self.reader.read_record(&mut record);
        if !is_there.expect("text in memory is UTF-8, and a row has any number of cells") {
            return None;
        }
        let found = &self.text[start..self.place().0];
        let begun = found.trim_start_matches(['\r', '\n']);
        let n_empty = found[..found.len() - begun.len()].matches('\n').count();
        let record =
            misquoted(begun, self.separator).map_or(Ok(record), |problem| Err(problem.to_owned()));
        Some((line + n_empty, record))
    }
}

impl Records<'_> {
    /// The byte, and the line from 1, that is next.
    fn place(&self) -> (usize, usize) {
        let position = self.reader.position();
        let whole = |n: u64| usize::try_from(n).expect("a place in memory");
        (whole(position.byte()), whole(position.line()))
    }
}

/// What `csv` forgives in a record: a quote that is never closed, and text behind one that is.
fn misquoted(record: &str, separator: char) -> Option<&'static str> {
    let mut rest = record;
    loop {
        if let Some(mut quoted) = rest.strip_prefix('"') {
            rest = loop {
                let Some((_, behind)) = quoted.split_once('"') else {
                    return Some("a quote is never closed");
                };
                match behind.strip_prefix('"') {
                    Some(more) => quoted = more,
                    None => break behind,
                }
            };
            if !rest.is_empty() && !rest.starts_with([separator, '\r', '\n']) {
                return Some("there is text after a closing quote");
            }
        }
        (_, rest) = rest.split_once(separator)?;
    }
}
