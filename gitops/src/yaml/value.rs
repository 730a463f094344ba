//! YAML as JSON values, as Kubernetes reads it.

use std::collections::BTreeMap;

use saphyr_parser::ScalarStyle;
use serde_json::{Map, Value};

use super::node::{Data, Node, documents};
use super::resolve;
use crate::{Error, Result};

/// How many nodes all documents of a text may have once aliases are written out.
const MAX_NODES: usize = 200_000;

/// How deep values may nest once aliases are written out.
const MAX_DEPTH: usize = 100;

/// Parses all documents of a text; empty documents are left out.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Value>> {
    let mut left = MAX_NODES;
    let mut values = Vec::new();
    for document in documents(text)? {
        let mut anchors = BTreeMap::new();
        collect(&document, &mut anchors);
        let mut reader = Reader { anchors, left };
        match reader.value(&document, 0)? {
            Value::Null => {}
            value => values.push(value),
        }
        left = reader.left;
    }
    Ok(values)
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
}

impl<'a> Reader<'a> {
    fn value(&mut self, node: &'a Node, depth: usize) -> Result<Value> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| node.error(format!("more than {MAX_NODES} values")))?;
        if depth > MAX_DEPTH {
            return Err(node.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        match &node.data {
            Data::Scalar { text, style, tag } => scalar(node, text, *style, tag.as_deref()),
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
            let name = key.text().ok_or_else(|| key.error("a key is a text"))?;
            let value = self.value(node, depth + 1)?;
            if is_merge(key) {
                merge(&mut merged, value, node)?;
            } else if map.insert(name.to_owned(), value).is_some() {
                return Err(key.error(format!("the key {name:?} stands here twice")));
            }
        }
        for (name, value) in merged {
            map.entry(name).or_insert(value);
        }
        Ok(map)
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

fn scalar(node: &Node, text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value> {
    let resolved = || match style {
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
        assert!(error(&bomb).contains("more than 200000 values"), "{}", error(&bomb));
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
