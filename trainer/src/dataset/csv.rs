//! Comma-separated values, as RFC 4180 has them: quotes may hold separators, line ends and doubled
//! quotes.

use csv::{Reader, ReaderBuilder, StringRecord};

use super::Unread;
use super::rows::{Cell, Row};

/// What may stand between the cells, where nobody says what does.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// `usual`: what stands between the cells of a file with such a name. Where the header has the
/// columns only by another delimiter, it is that one.
pub(super) fn parse(
    text: &str,
    usual: u8,
    asked: Option<u8>,
    names: &[&str],
) -> Result<Vec<Row>, Unread> {
    let first = asked.unwrap_or(usual);
    let others = DELIMITERS.into_iter().filter(|other| asked.is_none() && *other != usual);
    let found = [first].into_iter().chain(others).find(|delimiter| {
        header(text, *delimiter).is_ok_and(|header| places(&header, names).is_ok())
    });
    let delimiter = found.unwrap_or(first);
    let header = header(text, delimiter)?;
    let places = places(&header, names)?;
    let row = |(line, record): (usize, Result<StringRecord, String>)| {
        Row::new(line, record.and_then(|record| cells(&record, &places, header.len())))
    };
    Ok(records(text, delimiter).skip(1).map(row).collect())
}

fn records(text: &str, delimiter: u8) -> Records<'_> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).flexible(true).has_headers(false);
    Records { reader: builder.from_reader(text.as_bytes()), text, delimiter: delimiter.into() }
}

fn header(text: &str, delimiter: u8) -> Result<StringRecord, Unread> {
    let first = records(text, delimiter).next();
    let (_, header) = first.ok_or_else(|| Unread::Form("it has no header".to_owned()))?;
    Ok(header?)
}

/// Where the columns are.
fn places(header: &StringRecord, names: &[&str]) -> Result<Vec<usize>, Unread> {
    let place = |name: &&str| {
        let mut places = header
            .iter()
            .enumerate()
            .filter(|(_, found)| found.trim() == *name)
            .map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(Unread::Form(format!("it has two columns {name:?}"))),
            (None, _) => {
                let found = header.iter().map(str::to_owned).collect();
                Err(Unread::Column { name: (*name).to_owned(), found })
            }
        }
    };
    names.iter().map(place).collect()
}

fn cells(record: &StringRecord, places: &[usize], n_columns: usize) -> Result<Vec<Cell>, String> {
    if record.len() != n_columns {
        return Err(format!("it has {} cells, and the header has {n_columns}", record.len()));
    }
    Ok(places.iter().map(|place| Cell::Text(record[*place].to_owned())).collect())
}

/// Records, each with the line that it begins in, from 1. Empty lines are none.
struct Records<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
    delimiter: char,
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
            misquoted(begun, self.delimiter).map_or(Ok(record), |problem| Err(problem.to_owned()));
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
fn misquoted(record: &str, delimiter: char) -> Option<&'static str> {
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
            if !rest.is_empty() && !rest.starts_with([delimiter, '\r', '\n']) {
                return Some("there is text after a closing quote");
            }
        }
        (_, rest) = rest.split_once(delimiter)?;
    }
}
