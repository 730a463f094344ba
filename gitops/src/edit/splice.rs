//! Replaces values of a YAML text in place; every other byte stays.

use saphyr_parser::ScalarStyle;

use crate::yaml::{Data, Node, scalar};
use crate::{Error, Result};

/// Replacements of scalars in a text.
pub(crate) struct Edits<'a> {
    text: &'a str,
    /// Byte offset of each character, and of the end: the parser counts characters.
    offsets: Vec<usize>,
    replacements: Vec<(usize, usize, String)>,
    /// How many scalars were found, those among them that already had their value.
    pub(crate) found: usize,
}

impl<'a> Edits<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
        Self { text, offsets, replacements: Vec::new(), found: 0 }
    }

    pub(crate) fn set(&mut self, node: &Node, value: &str, what: &str) -> Result<()> {
        let Data::Scalar { text: old, style, .. } = &node.data else {
            return Err(not_editable(node, what, "it is no scalar"));
        };
        if node.anchor != 0 {
            return Err(not_editable(node, what, "it has an anchor, so other places share it"));
        }
        self.found += 1;
        if old == value {
            return Ok(());
        }
        let start = self.offsets[node.span.start.index()];
        let Some(length) = length(&self.text[start..], old, *style) else {
            return Err(not_editable(node, what, "it does not stand on one line"));
        };
        self.replacements.push((start, start + length, styled(value, *style)));
        Ok(())
    }

    /// Leaves nothing of a scalar that says what it was, where it stands on one line.
    pub(super) fn blank(&mut self, node: &Node) {
        let Data::Scalar { text, style, .. } = &node.data else { return };
        let start = self.offsets[node.span.start.index()];
        if let Some(length) = length(&self.text[start..], text, *style) {
            self.replacements.push((start, start + length, "_".to_owned()));
        }
    }

    /// Puts lines before the one on which a node begins, where nothing but blanks and the dash of a
    /// list stands before it; they get the same beginning.
    pub(crate) fn insert_before(&mut self, node: &Node, lines: &[&str], what: &str) -> Result<()> {
        let start = self.offsets[node.span.start.index()];
        let line = self.text[..start].rfind('\n').map_or(0, |end| end + 1);
        let before = &self.text[line..start];
        if !before.trim_start_matches([' ', '-']).is_empty() {
            return Err(not_editable(node, what, "it does not begin its line"));
        }
        let text: String = lines.iter().map(|text| format!("{before}{text}\n")).collect();
        self.found += 1;
        self.replacements.push((line, line, text));
        Ok(())
    }

    pub(super) fn finish(self, what: impl FnOnce() -> String) -> Result<String> {
        match self.found {
            0 => Err(Error::NothingToSet { what: what() }),
            _ => Ok(self.apply()),
        }
    }

    pub(crate) fn apply(mut self) -> String {
        self.replacements.sort();
        self.replacements.dedup();
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for (start, end, value) in &self.replacements {
            out.push_str(&self.text[done..*start]);
            out.push_str(value);
            done = *end;
        }
        out.push_str(&self.text[done..]);
        out
    }
}

/// How many bytes of the source a scalar takes, from its first on. The parser's own span of a
/// scalar ends where the next token begins.
///
/// None for a block scalar, a plain one of several lines, one without text, and one behind a tag.
fn length(source: &str, value: &str, style: ScalarStyle) -> Option<usize> {
    match style {
        ScalarStyle::Plain => {
            (!value.is_empty() && source.starts_with(value)).then_some(value.len())
        }
        ScalarStyle::SingleQuoted => {
            let mut rest = source.strip_prefix('\'')?;
            loop {
                rest = &rest[rest.find('\'')? + 1..];
                match rest.strip_prefix('\'') {
                    Some(after) => rest = after,
                    None => return Some(source.len() - rest.len()),
                }
            }
        }
        ScalarStyle::DoubleQuoted => {
            let mut escaped = false;
            let end = source.strip_prefix('"')?.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })?;
            Some(end + 2)
        }
        ScalarStyle::Literal | ScalarStyle::Folded => None,
    }
}

/// The value in the quotes that the old one had.
fn styled(value: &str, style: ScalarStyle) -> String {
    let simple = value.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
    match style {
        ScalarStyle::DoubleQuoted if simple => format!("\"{value}\""),
        ScalarStyle::SingleQuoted if simple => single_quoted(value),
        // Within `[…]` or `{…}` these would end the scalar.
        ScalarStyle::Plain if simple && value.contains([',', '[', ']', '{', '}']) => {
            single_quoted(value)
        }
        _ => scalar(value),
    }
}

fn single_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

pub(crate) fn not_editable(node: &Node, what: &str, reason: &'static str) -> Error {
    Error::NotEditable { line: node.span.start.line(), what: what.to_owned(), reason }
}
