//! Puts the tree of a document together from the parser's events, within bounds.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Marker, ScalarStyle, Span, Tag};

use super::{Content, Field, Node, position};
use crate::Problem;

/// How deep lists and maps may lie in each other.
const MAX_DEPTH: usize = 64;
/// How many values a Kitfile may hold once its aliases are written out.
const MAX_VALUES: usize = 100_000;
/// How long its texts may be together then, in bytes.
const MAX_EXPANDED: usize = 4 << 20;

/// Puts the tree together, event by event.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    total: Weight,
}

/// What a value costs when it is written out in full.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    values: usize,
    bytes: usize,
}

/// A list or a map whose end is still to come.
struct Open {
    start: Marker,
    /// Where the last thing inside ends.
    end: usize,
    anchor: usize,
    weight: Weight,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Rc<Node>>),
    Mapping(Map),
}

#[derive(Default)]
struct Map {
    fields: Vec<Field>,
    /// What the merge key `<<` brings.
    merge: Option<Field>,
    seen: HashSet<String>,
    /// A key that waits for its value.
    key: Option<Key>,
}

struct Key {
    text: String,
    at: Marker,
    is_merge: bool,
}

impl Builder {
    pub(super) fn finish(self) -> Option<Rc<Node>> {
        self.root
    }

    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| core_tag(&tag, span)).transpose()?;
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain, tag };
                self.scalar(content, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Kind::Sequence(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Kind::Mapping(Map::default()), anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Problem> {
        let Content::Scalar { text, .. } = &content else {
            return Ok(());
        };
        let weight = Weight { values: 1, bytes: text.len() };
        self.count(weight, span.start)?;
        let characters = (span.start.index(), span.end.index());
        let position = position(span.start);
        self.close(Node { content, position, span: characters, flow: false, weight }, anchor, span)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(problem("the alias stands inside of what it names", span.start));
        };
        self.count(node.weight, span.start)?;
        self.add(node, span)
    }

    fn begin(
        &mut self,
        kind: Kind,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Problem> {
        if let Some(tag) = tag {
            core_tag(tag, span)?;
        }
        if self.open.len() == MAX_DEPTH {
            let message = format!("lists and maps lie more than {MAX_DEPTH} deep in each other");
            return Err(problem(message, span.start));
        }
        let weight = Weight { values: 1, bytes: 0 };
        self.count(weight, span.start)?;
        let (start, end) = (span.start, span.end.index());
        self.open.push(Open { start, end, anchor, weight, kind });
        Ok(())
    }

    /// The end of a block has no character of its own; that of `[]` and `{}` has one, and blanks
    /// may follow it.
    fn end(&mut self, span: Span) -> Result<(), Problem> {
        let open = self.open.pop().expect("the parser pairs starts and ends");
        let flow = !span.is_empty();
        let end = if flow { span.start.index() + 1 } else { open.end };
        let content = match open.kind {
            Kind::Sequence(items) => Content::Sequence { items },
            Kind::Mapping(map) => Content::Mapping { fields: merged(map)? },
        };
        let (position, characters) = (position(open.start), (open.start.index(), end));
        let node = Node { content, position, span: characters, flow, weight: open.weight };
        self.close(node, open.anchor, Span::new(open.start, span.end))
    }

    /// Counts what is written out so far, before it is.
    fn count(&mut self, weight: Weight, at: Marker) -> Result<(), Problem> {
        self.total.add(weight);
        if self.total.values > MAX_VALUES || self.total.bytes > MAX_EXPANDED {
            return Err(problem("too many values, once all aliases are written out", at));
        }
        Ok(())
    }

    fn close(&mut self, node: Node, anchor: usize, span: Span) -> Result<(), Problem> {
        let end = Marker::new(node.span.1, span.end.line(), span.end.col());
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node, Span::new(span.start, end))
    }

    /// Puts a finished value, written at this place, into what surrounds it.
    fn add(&mut self, node: Rc<Node>, span: Span) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight.add(node.weight);
        open.end = open.end.max(span.end.index());
        match &mut open.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(map) => match map.key.take() {
                Some(Key { text, at, is_merge }) => {
                    let characters = (at.index(), span.end.index());
                    let field =
                        Field { key: text, position: position(at), span: characters, value: node };
                    if is_merge { map.merge = Some(field) } else { map.fields.push(field) }
                }
                None => map.key = Some(new_key(&node, &mut map.seen, span)?),
            },
        }
        Ok(())
    }
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.values = self.values.saturating_add(other.values);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

fn new_key(node: &Node, seen: &mut HashSet<String>, span: Span) -> Result<Key, Problem> {
    let Content::Scalar { text, plain, .. } = &node.content else {
        return Err(problem("a key must be a plain text", span.start));
    };
    if !seen.insert(text.clone()) {
        return Err(problem(format!("the key `{text}` stands here twice"), span.start));
    }
    Ok(Key { text: text.clone(), at: span.start, is_merge: *plain && text == "<<" })
}

/// A map's own fields, then what it merges: that never replaces one.
fn merged(map: Map) -> Result<Vec<Field>, Problem> {
    let Map { mut fields, merge, .. } = map;
    let Some(merge) = merge else { return Ok(fields) };
    let sources = match &merge.value.content {
        Content::Sequence { items } => items.iter().map(|item| &item.content).collect(),
        content => vec![content],
    };
    let mut seen: HashSet<String> = fields.iter().map(|field| field.key.clone()).collect();
    for source in sources {
        let Content::Mapping { fields: more } = source else {
            return Err(Problem::new("", "`<<` merges maps, and this is none").at(merge.position));
        };
        fields.extend(more.iter().filter(|field| seen.insert(field.key.clone())).cloned());
    }
    Ok(fields)
}

/// The name of one of YAML's own tags; others have no meaning in a Kitfile.
fn core_tag(tag: &Tag, span: Span) -> Result<String, Problem> {
    const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
    if tag.is_yaml_core_schema() && KNOWN.contains(&tag.suffix.as_str()) {
        return Ok(tag.suffix.clone());
    }
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Ok("str".to_owned());
    }
    Err(problem(format!("the tag {tag} has no meaning here"), span.start))
}

fn problem(message: impl Into<String>, at: Marker) -> Problem {
    Problem::new("", message).at(position(at))
}
