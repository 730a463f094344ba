//! Makes a failing tree small: whatever can be left out while the verdict stays is left out.

use serde_json::Value;

use super::judge::{Verdict, judge};
use super::sides::{Files, Sides};

/// How many smaller trees are tried at a time.
const BATCH: usize = 32;
/// How many steps a tree takes at most.
const STEPS: usize = 200;

/// The smallest tree that is found with the same verdict for the same reason.
pub(super) fn smallest(
    sides: &mut Sides,
    name: &str,
    mut files: Files,
    path: &str,
    (verdict, reason): (Verdict, &str),
) -> anyhow::Result<Files> {
    let mut first = 0;
    for _ in 0..STEPS {
        let candidates = smaller(&files);
        let mut found = None;
        // What did not help before the last step hardly helps after it: begin where that was.
        let n = candidates.len();
        let order: Vec<usize> = (0..n).map(|n_th| (first + n_th) % n.max(1)).collect();
        for batch in order.chunks(BATCH) {
            let trees: Vec<_> = batch.iter().map(|n| (&candidates[*n], path)).collect();
            let answers = sides.build(&trees)?;
            found = batch.iter().zip(&answers).find_map(|(n, (theirs, ours))| {
                let judged = judge(name, theirs, ours);
                (judged.verdict == verdict && judged.reason == reason).then_some(*n)
            });
            if found.is_some() {
                break;
            }
        }
        let Some(n) = found else { break };
        files = candidates.into_iter().nth(n).unwrap_or_default();
        first = n;
    }
    Ok(files)
}

/// All trees with one thing less.
fn smaller(files: &Files) -> Vec<Files> {
    let mut trees = Vec::new();
    for (path, text) in files {
        let mut without = files.clone();
        without.remove(path);
        trees.push(without);
        let Some(documents) = parse(text) else { continue };
        for n in 0..documents.len() {
            let mut put = |documents: &[Value]| {
                let mut tree = files.clone();
                tree.insert(path.clone(), print(documents));
                trees.push(tree);
            };
            let mut fewer = documents.clone();
            let document = fewer.remove(n);
            if !fewer.is_empty() {
                put(&fewer);
            }
            for less in with_less(&document) {
                let mut changed = documents.clone();
                changed[n] = less;
                put(&changed);
            }
        }
    }
    trees
}

fn parse(text: &str) -> Option<Vec<Value>> {
    text.split("\n---\n").map(|document| serde_json::from_str(document).ok()).collect()
}

fn print(documents: &[Value]) -> String {
    let texts: Vec<String> =
        documents.iter().map(|it| serde_json::to_string_pretty(it).unwrap_or_default()).collect();
    texts.join("\n---\n")
}

/// All values that have one key or element less, at any depth; those within a text that is JSON
/// itself are among them.
fn with_less(value: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let mut less = map.clone();
                less.remove(key);
                values.push(Value::Object(less));
                for inner in with_less(inner) {
                    let mut less = map.clone();
                    less.insert(key.clone(), inner);
                    values.push(Value::Object(less));
                }
            }
        }
        Value::Array(elements) => {
            for (n, inner) in elements.iter().enumerate() {
                let mut less = elements.clone();
                less.remove(n);
                values.push(Value::Array(less));
                for inner in with_less(inner) {
                    let mut less = elements.clone();
                    less[n] = inner;
                    values.push(Value::Array(less));
                }
            }
        }
        Value::String(text) if text.starts_with(['{', '[']) => {
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                values.extend(with_less(&inner).into_iter().map(|it| it.to_string().into()));
            }
        }
        _ => {}
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_smaller_value_has_one_thing_less() {
        let less = with_less(&json!({"a": [1, "{\"b\":2}"]}));
        assert_eq!(
            less,
            [json!({}), json!({"a": ["{\"b\":2}"]}), json!({"a": [1]}), json!({"a": [1, "{}"]}),]
        );
    }
}
