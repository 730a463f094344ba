//! Strategic merge patches, as `kyaml/yaml/merge2` merges them: in place, through every field of the
//! object, whether the patch names it or not.

use serde_json::{Map, Value};

use super::wrong;
use crate::Result;
use crate::kustomize::fields;
use crate::kustomize::schema::{At, Schema};

mod keyed;

/// Merges a strategic merge patch into an object; none when the patch deletes it.
///
/// Lists that the schema gives a merge strategy are merged by their keys, elements of the patch
/// first; every other list is replaced. Of the `blanks` of the object, those that are reached
/// vanish; other nulls stay.
pub(super) fn merge(
    object: Value,
    patch: &Value,
    blanks: &[String],
    schema: &Schema,
) -> Result<Option<Value>> {
    match directive_of(patch)? {
        Some(Directive::Delete) => return Ok(None),
        // kustomize leaves the object as it was.
        Some(Directive::Replace) => return Ok(Some(object)),
        _ => {}
    }
    let merger = Merger { blanks, schema };
    let at = merger.schema_of(None, Some(&object), Some(patch));
    merger.value(Some(object), Some(patch), at, &mut String::new())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

struct Merger<'a> {
    blanks: &'a [String],
    schema: &'a Schema,
}

impl<'a> Merger<'a> {
    /// Merges what a patch has for a value, or nothing; none clears it.
    fn value(
        &self,
        old: Option<Value>,
        patch: Option<&Value>,
        at: Option<At<'a>>,
        path: &mut String,
    ) -> Result<Option<Value>> {
        let at = self.schema_of(at, old.as_ref(), patch);
        let old = match old {
            Some(Value::Null) if patch.is_none() => {
                // Written as null it stays, with nothing behind the colon it goes.
                return Ok((!self.blanks.contains(path)).then_some(Value::Null));
            }
            Some(Value::Null) | None => {
                return match patch {
                    Some(patch) => self.adopted(patch, at),
                    None => Ok(None),
                };
            }
            Some(old) => old,
        };
        match (old, patch) {
            (_, Some(Value::Null)) => Ok(None),
            (Value::Object(old), None) => self.mapping(old, None, at, path).map(Some),
            (Value::Object(old), Some(Value::Object(patch))) => match directive(patch)? {
                Some(Directive::Delete) => Ok(None),
                Some(Directive::Replace) => self.adopted_mapping(patch, at).map(Some),
                _ => self.mapping(old, Some(patch), at, path).map(Some),
            },
            (Value::Array(old), None) => self.list(old, None, at, path),
            (Value::Array(old), Some(Value::Array(patch))) => self.list(old, Some(patch), at, path),
            (old, None) => Ok(Some(old)),
            (old, Some(patch)) if is_scalar(&old) && is_scalar(patch) => Ok(Some(patch.clone())),
            _ => Err(wrong(format!("{path}: the patch has another kind of value there"))),
        }
    }

    fn mapping(
        &self,
        mut old: Map<String, Value>,
        patch: Option<&Map<String, Value>>,
        at: Option<At<'a>>,
        path: &mut String,
    ) -> Result<Value> {
        let keys = old.keys().chain(patch.into_iter().flat_map(Map::keys));
        let mut keys: Vec<String> = keys.filter(|key| *key != "$patch").cloned().collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            check_key(&key)?;
            let end = path.len();
            if !self.blanks.is_empty() {
                path.push('/');
                path.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            let field = at.and_then(|at| at.field(&key));
            let change = patch.and_then(|patch| patch.get(&key));
            match old.get_mut(&key).map(Value::take) {
                Some(there) => match self.value(Some(there), change, field, path)? {
                    Some(merged) => drop(old.insert(key, merged)),
                    None => drop(old.remove(&key)),
                },
                None => {
                    if let Some(added) = self.value(None, change, field, path)? {
                        old.insert(key, added);
                    }
                }
            }
            path.truncate(end);
        }
        Ok(Value::Object(old))
    }

    fn list(
        &self,
        old: Vec<Value>,
        patch: Option<&Vec<Value>>,
        at: Option<At<'a>>,
        path: &mut String,
    ) -> Result<Option<Value>> {
        // Without a schema, a directive is an element as any other.
        let Some(keys) = at.and_then(|at| at.merge_keys()) else {
            return Ok(Some(Value::Array(patch.cloned().unwrap_or(old))));
        };
        let (directive, patch) = match patch {
            Some(patch) => {
                let (directive, patch) = without_directive(patch)?;
                (directive, Some(patch))
            }
            None => (None, None),
        };
        match directive {
            Some(Directive::Delete) => Ok(None),
            Some(Directive::Replace) => self.adopted(&Value::Array(patch.unwrap_or_default()), at),
            _ => self.keyed(Some(old), patch.as_deref(), keys, at, path).map(Some),
        }
    }

    /// What a patch adds where nothing was.
    fn adopted(&self, patch: &Value, at: Option<At<'a>>) -> Result<Option<Value>> {
        let at = self.schema_of(at, None, Some(patch));
        match patch {
            Value::Null => Ok(None),
            Value::Object(map) => match directive(map)? {
                Some(Directive::Delete) => Ok(None),
                _ => self.adopted_mapping(map, at).map(Some),
            },
            Value::Array(elements) => match at.and_then(|at| at.merge_keys()) {
                Some(keys) => {
                    let (_, elements) = without_directive(elements)?;
                    let path = &mut "adopted".to_owned();
                    self.keyed(None, Some(&elements), keys, at, path).map(Some)
                }
                None => Ok(Some(Value::Array(elements.clone()))),
            },
            scalar => Ok(Some(scalar.clone())),
        }
    }

    fn adopted_mapping(&self, patch: &Map<String, Value>, at: Option<At<'a>>) -> Result<Value> {
        let mut adopted = Map::new();
        for (key, value) in patch.iter().filter(|(key, _)| *key != "$patch") {
            check_key(key)?;
            let field = at.and_then(|at| at.field(key));
            if let Some(value) = self.adopted(value, field)? {
                adopted.insert(key.clone(), value);
            }
        }
        Ok(Value::Object(adopted))
    }

    /// The schema of a value; where none is known, that of the kind which it says it is.
    fn schema_of(
        &self,
        at: Option<At<'a>>,
        old: Option<&Value>,
        patch: Option<&Value>,
    ) -> Option<At<'a>> {
        at.or_else(|| {
            [old, patch].into_iter().flatten().find_map(|value| {
                let text = |key| value.get(key).and_then(Value::as_str);
                self.schema.of_kind(text("apiVersion")?, text("kind")?)
            })
        })
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn check_key(key: &str) -> Result<()> {
    match key.starts_with('$') {
        true => Err(wrong(format!("the directive {key} is not supported"))),
        false => Ok(()),
    }
}

fn directive_of(patch: &Value) -> Result<Option<Directive>> {
    patch.as_object().map_or(Ok(None), directive)
}

fn directive(map: &Map<String, Value>) -> Result<Option<Directive>> {
    map.get("$patch").map(named).transpose()
}

fn named(directive: &Value) -> Result<Directive> {
    match directive.as_str() {
        Some("delete") => Ok(Directive::Delete),
        Some("replace") => Ok(Directive::Replace),
        Some("merge") => Ok(Directive::Merge),
        _ => Err(wrong(format!("$patch: {directive} does not exist"))),
    }
}

/// The directive for a whole list, which is an element of nothing else, and the list without it.
fn without_directive(patch: &[Value]) -> Result<(Option<Directive>, Vec<Value>)> {
    let first = patch.iter().find_map(|element| {
        let map = element.as_object()?;
        map.contains_key("$patch").then_some(map)
    });
    match first {
        Some(map) if map.len() == 1 => {
            let directive = named(&map["$patch"])?;
            let is_it = |element: &&Value| element.get("$patch") == Some(&map["$patch"]);
            let rest = patch.iter().filter(|element| !is_it(element)).cloned().collect();
            Ok((Some(directive), rest))
        }
        _ => Ok((None, patch.to_vec())),
    }
}

/// The text of a field of an element, as keys are compared; empty where there is none.
fn key_text(element: &Value, key: &str) -> String {
    element.get(key).map(fields::text).unwrap_or_default()
}
