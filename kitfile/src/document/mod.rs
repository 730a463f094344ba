//! The first document of a YAML text as a tree that knows where each value stands.
//!
//! Everything is bounded before anything is built from it: the size of the text, the depth, and
//! what aliases blow it up to.

mod builder;

use std::rc::Rc;

use builder::Builder;
use saphyr_parser::{Event, Marker, Parser};

use crate::Problem;
use crate::problem::Position;

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) position: Position,
    /// Its first character in the text, and the first one after it.
    pub(crate) span: (usize, usize),
    /// Whether it is written in `[]` or `{}`.
    pub(crate) flow: bool,
    /// What it costs to write it out in full.
    weight: builder::Weight,
}

#[derive(Debug)]
pub(crate) enum Content {
    Scalar { text: String, plain: bool, tag: Option<String> },
    Sequence { items: Vec<Rc<Node>> },
    Mapping { fields: Vec<Field> },
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) position: Position,
    /// The key's first character in the text, and the first one after the value, as it is written
    /// here.
    pub(crate) span: (usize, usize),
    pub(crate) value: Rc<Node>,
}

impl Node {
    /// Whether it is nothing: `null`, `~`, or an empty place.
    pub(crate) fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar { text, plain: true, tag: None } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Content::Scalar { tag: Some(tag), .. } => tag == "null",
            _ => false,
        }
    }

    pub(crate) fn field(&self, key: &str) -> Option<&Field> {
        match &self.content {
            Content::Mapping { fields } => fields.iter().find(|field| field.key == key),
            _ => None,
        }
    }
}

/// Reads the first document of a text.
pub(crate) fn read(text: &str) -> Result<Rc<Node>, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::new(
            "",
            format!("longer than {MAX_BYTES} bytes, the most that a Kitfile may have"),
        ));
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|e| Problem::new("", e.info()).at(position(*e.marker())))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.take(event, span)?;
    }
    builder
        .finish()
        .filter(|root| !root.is_null())
        .ok_or_else(|| Problem::new("", "the Kitfile is empty").at(Position { line: 1, column: 1 }))
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}
