//! From YAML to a Kitfile, strictly: whatever the schema does not have is a problem.

use std::collections::HashMap;
use std::rc::Rc;

use serde_yaml::{Mapping, Value};

use crate::document::{self, Content, Field, Node};
use crate::problem::{Position, sorted};
use crate::schema::{self, Shape};
use crate::{Kitfile, Problem, Problems, scalar};

/// A Kitfile as read, and what was odd about its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The Kitfile.
    pub kitfile: Kitfile,
    /// What was accepted though it should be written otherwise.
    pub warnings: Vec<Problem>,
}

impl Kitfile {
    /// Reads a Kitfile from YAML (or JSON, which is YAML too), strictly: unknown and doubled keys
    /// are refused.
    ///
    /// Only the first document of the text counts. A broken text gives one problem, where it breaks
    /// off. Otherwise all problems come at once: first those of keys and types, then, when there
    /// are none, those of [`Kitfile::check`].
    pub fn parse(text: &str) -> Result<Parsed, Problems> {
        let root = document::read(text)?;
        let mut reader = Reader::default();
        reader.places.note("", root.position);
        let values = reader.value(&root, schema::KITFILE, "");
        Problems::or(reader.problems)?;
        let mut kitfile: Self =
            serde_yaml::from_value(values).map_err(|error| Problem::new("", error.to_string()))?;
        let mut warnings = reader.warnings;
        let findings = kitfile.findings();
        let placed = |problem: Problem| reader.places.place(problem);
        warnings.extend(findings.warnings.into_iter().map(placed));
        Problems::or(findings.problems.into_iter().map(placed).collect())?;
        if kitfile.manifest_version == "v1.0.0" {
            kitfile.manifest_version = "1.0.0".to_owned();
        }
        Ok(Parsed { kitfile, warnings: sorted(warnings) })
    }
}

/// Where each field stands: a text at its first letter, what is made of fields at its key.
#[derive(Default)]
struct Places(HashMap<String, Position>);

impl Places {
    fn note(&mut self, path: &str, position: Position) {
        self.0.insert(path.to_owned(), position);
    }

    /// Says where a problem stands; what is missing is told of what it is missing in.
    fn place(&self, problem: Problem) -> Problem {
        let around = problem.path.rsplit_once('.').map_or("", |(around, _)| around);
        let position =
            [&problem.path, around, ""].into_iter().find_map(|path| self.0.get(path)).copied();
        match position {
            Some(position) => problem.at(position),
            None => problem,
        }
    }
}

/// Turns a document into values of the right types, and notes what does not fit.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    places: Places,
}

impl Reader {
    fn value(&mut self, node: &Node, shape: Shape, path: &str) -> Value {
        match (shape, &node.content) {
            (Shape::Text, Content::Scalar { text, .. }) => Value::String(text.clone()),
            (Shape::Texts, Content::Scalar { text, .. }) => {
                let message = "this is a list in a Kitfile: write [name]";
                self.warnings.push(Problem::new(path, message).at(node.position));
                Value::Sequence(vec![Value::String(text.clone())])
            }
            (Shape::Texts, Content::Sequence { items }) => self.items(items, Shape::Text, path),
            (Shape::Sections(fields), Content::Sequence { items }) => {
                self.items(items, Shape::Section(fields), path)
            }
            (Shape::Section(shapes), Content::Mapping { fields }) => {
                self.section(fields, shapes, path)
            }
            (Shape::Anything, _) => self.anything(node, path),
            (Shape::Text, _) => self.refuse(node, path, "a text is expected here"),
            (Shape::Texts, _) => self.refuse(node, path, "a list of texts is expected here"),
            (Shape::Section(_), _) => self.refuse(node, path, "a map of fields is expected here"),
            (Shape::Sections(_), _) => {
                self.refuse(node, path, "a list is expected here: begin each item with `- `")
            }
        }
    }

    fn section(&mut self, fields: &[Field], shapes: schema::Fields, path: &str) -> Value {
        let mut mapping = Mapping::new();
        for field in fields {
            let path = join(path, &field.key);
            match shapes.iter().find(|(name, _)| *name == field.key) {
                // A key without a value is a key that is not there.
                Some(_) if field.value.is_null() => self.places.note(&path, field.position),
                Some((_, shape)) => {
                    let is_text = matches!(field.value.content, Content::Scalar { .. });
                    self.places
                        .note(&path, if is_text { field.value.position } else { field.position });
                    mapping
                        .insert(field.key.clone().into(), self.value(&field.value, *shape, &path));
                }
                None => self.problems.push(unknown(field, shapes, path)),
            }
        }
        Value::Mapping(mapping)
    }

    /// Empty items of a list count only where anything may stand.
    fn items(&mut self, items: &[Rc<Node>], shape: Shape, path: &str) -> Value {
        let counts = |item: &&Rc<Node>| matches!(shape, Shape::Anything) || !item.is_null();
        let mut values = Vec::new();
        for (i, item) in items.iter().filter(counts).enumerate() {
            let path = format!("{path}[{i}]");
            self.places.note(&path, item.position);
            values.push(self.value(item, shape, &path));
        }
        Value::Sequence(values)
    }

    /// What stands in `parameters`: JSON's types only.
    fn anything(&mut self, node: &Node, path: &str) -> Value {
        match &node.content {
            Content::Mapping { fields } => {
                let value = |field: &Field| self.anything(&field.value, &join(path, &field.key));
                let values: Vec<_> = fields.iter().map(value).collect();
                fields
                    .iter()
                    .map(|field| Value::from(field.key.clone()))
                    .zip(values)
                    .collect::<Mapping>()
                    .into()
            }
            Content::Sequence { items } => self.items(items, Shape::Anything, path),
            Content::Scalar { text, plain, tag } if *plain && tag.is_none() => {
                match scalar::resolve(text) {
                    Some(value) => serde_yaml::to_value(value).unwrap_or_default(),
                    None => self.refuse(node, path, "JSON has no such number"),
                }
            }
            Content::Scalar { text, tag, .. } => self.tagged(node, text, tag.as_deref(), path),
        }
    }

    fn tagged(&mut self, node: &Node, text: &str, tag: Option<&str>, path: &str) -> Value {
        let value = match tag {
            None | Some("str") => return Value::String(text.to_owned()),
            Some(_) => scalar::resolve(text),
        };
        match (tag, value) {
            (Some("int" | "float"), Some(value)) if value.is_number() => {
                serde_yaml::to_value(value).unwrap_or_default()
            }
            (Some("bool"), Some(value)) if value.is_boolean() => {
                serde_yaml::to_value(value).unwrap_or_default()
            }
            (Some("null"), _) => Value::Null,
            _ => self.refuse(node, path, "the value does not fit its tag"),
        }
    }

    fn refuse(&mut self, node: &Node, path: &str, message: &str) -> Value {
        self.problems.push(Problem::new(path, message).at(node.position));
        Value::Null
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn unknown(field: &Field, shapes: schema::Fields, path: String) -> Problem {
    let near = shapes.iter().map(|(name, _)| *name).min_by_key(|name| distance(name, &field.key));
    let message = match near.filter(|name| distance(name, &field.key) <= 2) {
        Some(name) => format!("unknown key; did you mean `{name}`?"),
        None => {
            let names: Vec<_> = shapes.iter().map(|(name, _)| *name).collect();
            format!("unknown key; here may stand {}", names.join(", "))
        }
    };
    Problem::new(path, message).at(field.position)
}

/// How many letters must be changed, added or left out to make one word the other; upper and lower
/// case are alike.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let kept = corner + usize::from(!x.eq_ignore_ascii_case(y));
            corner = row[j + 1];
            row[j + 1] = kept.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
