//! YAML with the place of each node in the text, for edits and messages.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::{Error, Result};

/// How deep nodes may nest.
const MAX_DEPTH: usize = 100;

/// A node with its place in the text.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) data: Data,
    /// The number of the node's anchor; 0 for none.
    pub(crate) anchor: usize,
    pub(crate) span: Span,
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Data {
    Scalar {
        text: String,
        style: ScalarStyle,
        tag: Option<String>,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    /// Stands for the node with that anchor.
    Alias(usize),
}

impl Node {
    /// The value behind a key of a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        let Data::Mapping(entries) = &self.data else { return None };
        entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
    }

    /// The key of a mapping, as it stands there.
    pub(crate) fn key(&self, key: &str) -> Option<&Self> {
        let Data::Mapping(entries) = &self.data else { return None };
        entries.iter().map(|(k, _)| k).find(|k| k.text() == Some(key))
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The elements of a sequence; none for anything else.
    pub(crate) fn elements(&self) -> &[Self] {
        match &self.data {
            Data::Sequence(elements) => elements,
            _ => &[],
        }
    }

    /// An error at this node.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        error_at(self.span.start, message)
    }
}

/// Parses a text into its documents; an empty text has none.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>> {
    let end = if text.ends_with('\n') { usize::MAX } else { text.chars().count() };
    let mut composer = Composer { parser: Parser::new_from_str(text), end };
    let mut documents = Vec::new();
    loop {
        match composer.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(_), _) => {
                let (event, span) = composer.next()?;
                documents.push(composer.node(event, span, 0)?);
            }
            _ => {}
        }
    }
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Where a text ends that has no line feed there, in characters.
    end: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(event) => event.map_err(scan_error),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node> {
        if depth > MAX_DEPTH {
            return Err(error_at(span.start, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (data, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                let mut text = text.into_owned();
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if is_block && span.end.index() >= self.end && text.ends_with('\n') {
                    // The parser ends the last line of a text itself; Go's does not.
                    text.pop();
                }
                (Data::Scalar { text, style, tag }, anchor)
            }
            Event::Alias(anchor) => (Data::Alias(anchor), 0),
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            _ => return Err(error_at(span.start, "a value is missing")),
        };
        Ok(Node { data, anchor, span })
    }

    fn sequence(&mut self, depth: usize) -> Result<Data> {
        let mut elements = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Data::Sequence(elements)),
                (event, span) => elements.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Data> {
        let mut entries = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Data::Mapping(entries)),
                (event, span) => self.node(event, span, depth + 1)?,
            };
            let (event, span) = self.next()?;
            entries.push((key, self.node(event, span, depth + 1)?));
        }
    }
}

fn scan_error(error: ScanError) -> Error {
    error_at(*error.marker(), error.info())
}

fn error_at(marker: Marker, message: impl Into<String>) -> Error {
    Error::Yaml { line: marker.line(), column: marker.col() + 1, message: message.into() }
}
