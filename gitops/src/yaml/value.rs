//! YAML as JSON values, as Kubernetes reads it.

use std::collections::BTreeMap;

use saphyr_parser::ScalarStyle;
use serde_json::{Map, Value};

use super::node::{Data, Node, documents};
use super::resolve;
use crate::{Error, Result};

/// How many nodes all documents of a text may have once aliases are written out, besides one for
/// each byte of the text.
const MAX_NODES: usize = 200_000;

/// How deep values may nest once aliases are written out.
const MAX_DEPTH: usize = 100;

/// Which of Go's readers a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `go.yaml.in/yaml/v3`, for objects: `yes` is a text, a key that stands twice an error.
    Objects,
    /// The same, and as kustomize prints what it has read: dates are times.
    Kustomize,
    /// `sigs.k8s.io/yaml`, for what becomes JSON at once: `yes` is true, and the last one counts of
    /// keys that are equal.
    Json,
}

/// An object of a text, with what its value does not tell.
pub(crate) struct Document {
    pub(crate) value: Value,
    /// JSON pointers to the fields with nothing behind their colon.
    pub(crate) blanks: Vec<String>,
    /// What identifies the object and is written as no text, by its JSON pointer; the value has its
    /// text.
    pub(crate) raw: Vec<(&'static str, Value)>,
}

/// What identifies an object.
const IDENTITY: [&str; 4] = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"];

/// Parses all documents of a text; empty documents are left out.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Value>> {
    parse_as(text, Dialect::Objects)
}

/// Parses all documents of a text as one of Go's readers does; empty documents are left out.
pub(crate) fn parse_as(text: &str, dialect: Dialect) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    read(text, dialect, |value, _| values.push(value))?;
    Ok(values)
}

/// Parses the objects of a text. Annotations are texts, as they stand there.
pub(crate) fn parse_objects(text: &str) -> Result<Vec<Document>> {
    let mut found = Vec::new();
    read(text, Dialect::Kustomize, |mut value, node| {
        let annotations = node.entry("metadata").and_then(|it| it.entry("annotations"));
        if let Some(Data::Mapping(entries)) = annotations.map(|it| &it.data)
            && let Some(Value::Object(map)) = value.pointer_mut("/metadata/annotations")
        {
            for (key, text) in entries {
                if let (Some(key), Some(text)) = (key.text(), text.text())
                    && map.get(key).is_some_and(|value| !value.is_null())
                {
                    map.insert(key.to_owned(), text.into());
                }
            }
        }
        let mut blanks = Vec::new();
        collect_blanks(node, &mut String::new(), &mut blanks);
        let raw = IDENTITY.into_iter().filter_map(|at| Some((at, as_text(&mut value, node, at)?)));
        let raw = raw.collect();
        found.push(Document { value, blanks, raw });
    })?;
    Ok(found)
}

/// Puts the text of a scalar in its place, and gives what it was; a namespace of null is an empty
/// one.
fn as_text(value: &mut Value, node: &Node, at: &'static str) -> Option<Value> {
    let there = value.pointer_mut(at)?;
    match there {
        Value::Null if at == "/metadata/namespace" => {
            *there = "".into();
            None
        }
        Value::Number(_) | Value::Bool(_) => {
            let mut parts = at.split('/').skip(1);
            let written = parts.try_fold(node, |node, part| node.entry(part))?.text()?;
            Some(std::mem::replace(there, written.into()))
        }
        _ => None,
    }
}

fn read(text: &str, dialect: Dialect, mut on: impl FnMut(Value, &Node)) -> Result<()> {
    let mut left = MAX_NODES + text.len();
    for document in documents(text)? {
        let mut anchors = BTreeMap::new();
        collect(&document, &mut anchors);
        let mut reader = Reader { anchors, left, dialect };
        match reader.value(&document, 0)? {
            Value::Null => {}
            value => on(value, &document),
        }
        left = reader.left;
    }
    Ok(())
}

fn collect_blanks(node: &Node, at: &mut String, blanks: &mut Vec<String>) {
    let mut below = |part: &str, node: &Node| {
        let end = at.len();
        at.push('/');
        at.push_str(&part.replace('~', "~0").replace('/', "~1"));
        collect_blanks(node, at, blanks);
        at.truncate(end);
    };
    match &node.data {
        Data::Sequence(elements) => {
            elements.iter().enumerate().for_each(|(n, element)| below(&n.to_string(), element));
        }
        Data::Mapping(entries) => {
            entries.iter().for_each(|(key, value)| below(key.text().unwrap_or_default(), value));
        }
        Data::Scalar { text, style: ScalarStyle::Plain, tag: None } if text.is_empty() => {
            blanks.push(at.clone());
        }
        Data::Scalar { .. } | Data::Alias(_) => {}
    }
}

fn collect<'a>(node: &'a Node, anchors: &mut BTreeMap<usize, &'a Node>) {
    if node.anchor != 0 {
        anchors.insert(node.anchor, node);
    }
    match &node.data {
        Data::Sequence(elements) => elements.iter().for_each(|element| collect(element, anchors)),
        Data::Mapping(entries) => {
            for (key, value) in entries {
                collect(key, anchors);
                collect(value, anchors);
            }
        }
        Data::Scalar { .. } | Data::Alias(_) => {}
    }
}

struct Reader<'a> {
    anchors: BTreeMap<usize, &'a Node>,
    left: usize,
    dialect: Dialect,
}

impl<'a> Reader<'a> {
    fn value(&mut self, node: &'a Node, depth: usize) -> Result<Value> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| node.error(format!("more than {MAX_NODES} values through aliases")))?;
        if depth > MAX_DEPTH {
            return Err(node.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        match &node.data {
            Data::Scalar { text, style, tag } => {
                scalar(node, text, *style, tag.as_deref(), self.dialect)
            }
            Data::Sequence(elements) => {
                elements.iter().map(|element| self.value(element, depth + 1)).collect()
            }
            Data::Mapping(entries) => self.mapping(entries, depth).map(Value::Object),
            Data::Alias(anchor) => {
                let target = *self
                    .anchors
                    .get(anchor)
                    .ok_or_else(|| node.error("an alias without an anchor"))?;
                self.value(target, depth + 1)
            }
        }
    }

    fn mapping(&mut self, entries: &'a [(Node, Node)], depth: usize) -> Result<Map<String, Value>> {
        let mut map = Map::new();
        let mut merged = Map::new();
        for (key, node) in entries {
            let name = self.key(key)?;
            let value = self.value(node, depth + 1)?;
            if is_merge(key) {
                merge(&mut merged, value, node)?;
            } else if map.insert(name.clone(), value).is_some() && self.dialect != Dialect::Json {
                return Err(key.error(format!("the key {name:?} stands here twice")));
            }
        }
        for (name, value) in merged {
            map.entry(name).or_insert(value);
        }
        Ok(map)
    }
}

impl Reader<'_> {
    /// A key as a text; `on` is no text for a reader of JSON.
    fn key(&self, key: &Node) -> Result<String> {
        let Data::Scalar { text, style, tag } = &key.data else {
            return Err(key.error("a key is a text"));
        };
        match self.dialect {
            Dialect::Json if !is_merge(key) => {
                match scalar(key, text, *style, tag.as_deref(), self.dialect)? {
                    Value::String(text) => Ok(text),
                    Value::Null => Err(key.error("a key is a text")),
                    other => Ok(other.to_string()),
                }
            }
            Dialect::Objects | Dialect::Kustomize
                if *style == ScalarStyle::Plain
                    && tag.is_none()
                    && !resolve::plain(text).is_string() =>
            {
                Err(key.error(format!("the key {text} is no text; quotes make one of it")))
            }
            _ => Ok(text.clone()),
        }
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.data, Data::Scalar { text, style: ScalarStyle::Plain, .. } if text == "<<")
}

/// The merge key `<<`: earlier mappings win.
fn merge(into: &mut Map<String, Value>, value: Value, node: &Node) -> Result<()> {
    let maps = match value {
        Value::Array(maps) => maps,
        map => vec![map],
    };
    for map in maps {
        let Value::Object(map) = map else {
            return Err(node.error("only a mapping can be merged"));
        };
        for (name, value) in map {
            into.entry(name).or_insert(value);
        }
    }
    Ok(())
}

fn scalar(
    node: &Node,
    text: &str,
    style: ScalarStyle,
    tag: Option<&str>,
    dialect: Dialect,
) -> Result<Value> {
    let resolved = || match style {
        ScalarStyle::Plain if dialect == Dialect::Json => resolve::plain_of_json(text),
        ScalarStyle::Plain if dialect == Dialect::Kustomize => match resolve::date(text) {
            Some(date) => Value::String(date),
            None => resolve::plain(text),
        },
        ScalarStyle::Plain => resolve::plain(text),
        _ => Value::String(text.to_owned()),
    };
    let value = match tag.map(|tag| tag.trim_start_matches("tag:yaml.org,2002:")) {
        None => resolved(),
        Some("str" | "!") => Value::String(text.to_owned()),
        Some("int" | "float" | "bool" | "null") => resolve::plain(text),
        Some(tag) => return Err(node.error(format!("the tag {tag} is not supported"))),
    };
    if matches!(&value, Value::String(text) if text.contains('\0')) {
        return Err(Error::Yaml {
            line: node.span.start.line(),
            column: node.span.start.col() + 1,
            message: "a NUL in a text".to_owned(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        let mut values = parse_all(text).unwrap();
        assert_eq!(values.len(), 1);
        values.remove(0)
    }

    fn error(text: &str) -> String {
        parse_all(text).unwrap_err().to_string()
    }

    #[test]
    fn documents_are_read_and_empty_ones_left_out() {
        assert_eq!(parse_all("").unwrap(), Vec::<Value>::new());
        assert_eq!(parse_all("---\n# nothing\n---\na: 1\n---\n").unwrap(), [json!({"a": 1})]);
        assert_eq!(
            parse_all("a: 1\n---\nb: [x, 'yes', \"1\"]\n...\n").unwrap(),
            [json!({"a": 1}), json!({"b": ["x", "yes", "1"]})]
        );
    }

    #[test]
    fn aliases_and_merge_keys_are_written_out() {
        assert_eq!(
            one("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: *x\n"),
            json!({"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}, "c": {"p": 1, "q": 2}})
        );
        assert_eq!(one("!!str 12"), json!("12"));
        assert_eq!(one("a: |\n  x\n  y\n"), json!({"a": "x\ny\n"}));
    }

    #[test]
    fn a_block_at_the_end_has_a_line_feed_only_where_the_text_has_one() {
        for (text, value) in [
            ("a: |\n  x", "x"),
            ("a: |\n  x\n", "x\n"),
            ("a: |\n  x\n  y", "x\ny"),
            ("a: |-\n  x", "x"),
            ("a: >\n  x\n  y", "x y"),
            ("a: |+\n  x\n\n", "x\n\n"),
            ("b: 1\na: |\n  é", "é"),
        ] {
            assert_eq!(one(text)["a"], value, "{text:?}");
        }
        assert_eq!(one("a: |\n  x\nb: y"), json!({"a": "x\n", "b": "y"}));
    }

    #[test]
    fn objects_keep_the_text_of_annotations_and_know_their_blank_fields() {
        let text = "metadata:\n  annotations: {a: 1.50, on: yes, c: }\nspec:\n  x:\n  y: null\n  l: [{z: }]\n";
        let document = parse_objects(text).unwrap().remove(0);
        assert_eq!(
            document.value["metadata"]["annotations"],
            json!({"a": "1.50", "on": "yes", "c": null})
        );
        assert_eq!(document.blanks, ["/metadata/annotations/c", "/spec/x", "/spec/l/0/z"]);
    }

    #[test]
    fn a_reader_of_json_has_other_truth_values_and_takes_the_last_key() {
        let read = |text| parse_as(text, Dialect::Json).unwrap().remove(0);
        assert_eq!(read("a: yes\nb: off\na: 'no'\n"), json!({"a": "no", "b": false}));
        assert_eq!(read("on: 1\n2: x\n"), json!({"true": 1, "2": "x"}));
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error_with_its_place() {
        assert_eq!(
            error("a: 1\nb: 2\na: 3\n"),
            "line 3, column 1: the key \"a\" stands here twice"
        );
        assert!(error("a: [1\n").starts_with("line "), "{}", error("a: [1\n"));
    }

    #[test]
    fn an_alias_bomb_ends_in_an_error() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let alias = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", [alias.as_str(); 9].join(","));
        }
        assert!(
            error(&bomb).contains("more than 200000 values through aliases"),
            "{}",
            error(&bomb)
        );
    }

    #[test]
    fn deep_nesting_and_self_reference_end_in_an_error() {
        assert!(
            error(&"[".repeat(100_000)).contains("nested deeper")
                || error(&"[".repeat(100_000)).contains("line")
        );
        assert!(error(&format!("{}x", "- ".repeat(5_000))).contains("nested deeper"));
        assert!(
            error("a: &a [*a]\n").contains("nested deeper")
                || error("a: &a [*a]\n").contains("anchor")
        );
    }
}
