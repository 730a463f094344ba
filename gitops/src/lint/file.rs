//! The documents of a tree's files that are objects, or patches of some.

use std::collections::BTreeSet;

use serde_json::Value;

use super::place::Places;
use crate::bootstrap::LISTS;
use crate::{Error, Object, Tree, tree, yaml};

/// A document with `apiVersion` and `kind`.
pub(super) struct Document {
    pub(super) path: String,
    pub(super) places: Places,
    pub(super) value: Value,
    /// The object, where it is a whole one.
    pub(super) object: Option<Object>,
    /// Whether kustomize takes it for a patch.
    pub(super) is_patch: bool,
}

/// A file that cannot be read.
pub(super) struct Unread {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// Reads all files of objects. Those of charts are templates, and those of kustomize its own.
pub(super) fn read(tree: &Tree) -> (Vec<Document>, Vec<Unread>) {
    let (patches, charts) = (patches(tree), charts(tree));
    let (mut documents, mut unread) = (Vec::new(), Vec::new());
    for (path, text) in tree.iter().filter(|(path, _)| is_read(path)) {
        if charts.iter().any(|chart| path.starts_with(chart)) {
            continue;
        }
        match of_file(path, text, patches.contains(path)) {
            Ok(found) => documents.extend(found),
            Err(error) => {
                // What has neither is no file of objects, whatever else it is.
                let is_ours = text.contains("apiVersion") && text.contains("kind");
                unread.extend(is_ours.then(|| unreadable(path, &error)));
            }
        }
    }
    (documents, unread)
}

fn is_read(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)) && !LISTS.contains(&name)
}

fn of_file(path: &str, text: &str, is_patch: bool) -> crate::Result<Vec<Document>> {
    if !text.contains("apiVersion") {
        return Ok(Vec::new());
    }
    let nodes = yaml::documents(text)?;
    let mut documents = Vec::new();
    for (node, value) in nodes.iter().zip(values(text, nodes.len())?) {
        let places = Places::of(node);
        match value.get("items") {
            Some(Value::Array(items)) if is_list(&value) => {
                for (n, item) in items.iter().enumerate() {
                    documents.extend(document(
                        path,
                        item,
                        places.below(&format!("/items/{n}")),
                        is_patch,
                    ));
                }
            }
            _ => documents.extend(document(path, &value, places, is_patch)),
        }
    }
    Ok(documents)
}

/// The value of each document, those that are empty among them.
fn values(text: &str, n: usize) -> crate::Result<Vec<Value>> {
    let values = yaml::parse_all(text)?;
    if values.len() == n {
        return Ok(values);
    }
    // Empty ones were left out: which ones is seen in each by itself.
    let nodes = yaml::documents(text)?;
    let mut values = values.into_iter();
    let is_empty = |node: &yaml::Node| node.text().is_some_and(|text| yaml::plain(text).is_null());
    Ok(nodes
        .iter()
        .map(|node| if is_empty(node) { Value::Null } else { values.next().unwrap_or(Value::Null) })
        .collect())
}

fn is_list(value: &Value) -> bool {
    value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
}

fn document(path: &str, value: &Value, places: Places, is_patch: bool) -> Option<Document> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let (api_version, _) = text("apiVersion").zip(text("kind"))?;
    // They are kustomize's own, and it says what is wrong with them.
    if api_version.starts_with("kustomize.config.k8s.io/") {
        return None;
    }
    let object = Object::from_value(value.clone()).ok().filter(|_| !is_patch);
    let (path, value) = (path.to_owned(), value.clone());
    Some(Document { path, places, value, object, is_patch })
}

fn unreadable(path: &str, error: &Error) -> Unread {
    let (line, column, message) = match error {
        Error::Yaml { line, column, message } => (*line, *column, message.clone()),
        error => (0, 0, crate::error::chain(error)),
    };
    Unread { path: path.to_owned(), line, column, message }
}

/// The files that kustomizations name as patches, or as configurations of their own.
fn patches(tree: &Tree) -> BTreeSet<String> {
    let mut patches = BTreeSet::new();
    for (path, text) in tree.iter() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !LISTS.contains(&name) {
            continue;
        }
        for document in yaml::parse_all(text).unwrap_or_default() {
            let mut named: Vec<&str> = Vec::new();
            for field in ["patches", "patchesJson6902", "patchesStrategicMerge", "replacements"] {
                let listed = document.get(field).and_then(Value::as_array);
                named.extend(listed.into_iter().flatten().filter_map(|it| {
                    it.as_str().or_else(|| it.get("path").and_then(Value::as_str))
                }));
            }
            for field in ["configurations", "transformers", "generators", "validators", "crds"] {
                let listed = document.get(field).and_then(Value::as_array);
                named.extend(listed.into_iter().flatten().filter_map(Value::as_str));
            }
            patches.extend(named.into_iter().filter_map(|path| tree::resolve(folder, path).ok()));
        }
    }
    patches
}

/// The folders of charts, whose files are templates of objects.
fn charts(tree: &Tree) -> Vec<String> {
    let charts = tree.paths().filter_map(|path| path.strip_suffix("Chart.yaml"));
    charts.map(|folder| format!("{folder}templates/")).collect()
}
