//! Strategic merge patches: lists of objects merge by their key.

use serde_json::{Map, Value};

use super::wrong;
use crate::kustomize::resource::is_builtin;
use crate::{ObjectId, Result};

/// Merges a strategic merge patch into an object; none when the patch deletes it.
///
/// Lists of Kubernetes' own kinds are merged by their keys, elements of the patch first, as
/// kustomize does; every other list is replaced.
pub(super) fn merge(object: Value, patch: &Value, id: &ObjectId) -> Result<Option<Value>> {
    Merger { keyed: is_builtin(&id.group), kind: &id.kind }.value(
        Some(object),
        patch,
        &mut Vec::new(),
    )
}

struct Merger<'a> {
    /// Whether lists have merge keys.
    keyed: bool,
    kind: &'a str,
}

impl Merger<'_> {
    /// Merges what the patch has for a value; none clears it.
    fn value(
        &self,
        old: Option<Value>,
        patch: &Value,
        path: &mut Vec<String>,
    ) -> Result<Option<Value>> {
        match patch {
            Value::Null => Ok(None),
            Value::Object(map) => self.mapping(old, map, path),
            Value::Array(elements) => self.list(old, elements, path),
            scalar => Ok(Some(scalar.clone())),
        }
    }

    fn mapping(
        &self,
        old: Option<Value>,
        patch: &Map<String, Value>,
        path: &mut Vec<String>,
    ) -> Result<Option<Value>> {
        let mut old = match (directive(patch)?, old) {
            (Some("delete"), _) => return Ok(None),
            (Some("replace"), _) | (_, None) => Map::new(),
            (_, Some(Value::Object(map))) => map,
            (_, Some(_)) => Map::new(),
        };
        for (key, value) in patch.iter().filter(|(key, _)| *key != "$patch") {
            if key.starts_with('$') {
                return Err(wrong(format!("the directive {key} is not supported")));
            }
            path.push(key.clone());
            match self.value(old.remove(key), value, path)? {
                Some(merged) => {
                    old.insert(key.clone(), merged);
                }
                None => {
                    old.remove(key);
                }
            }
            path.pop();
        }
        Ok(Some(Value::Object(old)))
    }

    fn list(
        &self,
        old: Option<Value>,
        patch: &[Value],
        path: &mut Vec<String>,
    ) -> Result<Option<Value>> {
        let (directives, elements): (Vec<&Value>, Vec<&Value>) =
            patch.iter().partition(|element| is_bare_directive(element));
        let replace = match directives.as_slice() {
            [] => false,
            [one] => match directive(one.as_object().expect("a directive is a mapping"))? {
                Some("delete") => return Ok(None),
                directive => directive == Some("replace"),
            },
            _ => return Err(wrong(format!("{} has two directives", path.join("/")))),
        };
        let old = match old {
            Some(Value::Array(old)) if !replace => old,
            _ => Vec::new(),
        };
        let keys = if self.keyed { merge_keys(self.kind, path) } else { None };
        let merged = match keys {
            Some([]) => union(old, &elements),
            Some(keys) => self.keyed(old, &elements, keys, path)?,
            None => elements.into_iter().cloned().collect(),
        };
        Ok(Some(Value::Array(merged)))
    }

    /// Elements of the patch first, merged with the old ones that have their keys; then the old
    /// ones that the patch does not name.
    ///
    /// Lists with two keys have rules of their own in kustomize: an element that is found by both
    /// keeps its place, and one that leaves a key open where the old one has it (or the other way
    /// round) is lost.
    fn keyed(
        &self,
        old: Vec<Value>,
        patch: &[&Value],
        keys: &[&str],
        path: &mut Vec<String>,
    ) -> Result<Vec<Value>> {
        let mut old: Vec<Option<Value>> = old.into_iter().map(Some).collect();
        let mut first = Vec::new();
        for element in patch {
            let tuple = tuple(element, keys);
            if tuple.iter().all(Option::is_none) {
                return Err(wrong(format!(
                    "{}: an element of the patch has no {}",
                    path.join("/"),
                    keys[0]
                )));
            }
            let place = old.iter().position(|other| {
                other.as_ref().is_some_and(|other| self::tuple(other, keys) == tuple)
            });
            let stays = keys.len() > 1 && tuple.iter().all(Option::is_some);
            match place {
                Some(place) if stays => {
                    old[place] = self.value(old[place].take(), element, path)?
                }
                Some(place) => first.extend(self.value(old[place].take(), element, path)?),
                None if old
                    .iter()
                    .flatten()
                    .any(|other| is_half_equal(&self::tuple(other, keys), &tuple)) => {}
                None => first.extend(self.value(None, element, path)?),
            }
        }
        Ok(first.into_iter().chain(old.into_iter().flatten()).collect())
    }
}

fn tuple<'a>(element: &'a Value, keys: &[&str]) -> Vec<Option<&'a Value>> {
    keys.iter().map(|key| element.get(*key).filter(|value| !value.is_null())).collect()
}

/// Whether the first keys are equal and one of the others is open on one side only.
fn is_half_equal(a: &[Option<&Value>], b: &[Option<&Value>]) -> bool {
    a[0] == b[0] && a.iter().zip(b).skip(1).any(|(a, b)| a.is_none() != b.is_none())
}

/// A list of plain values that is a set: the patch's first, then the others.
fn union(old: Vec<Value>, patch: &[&Value]) -> Vec<Value> {
    let mut all: Vec<Value> = patch.iter().map(|value| (*value).clone()).collect();
    for value in old {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

fn directive(map: &Map<String, Value>) -> Result<Option<&str>> {
    match map.get("$patch") {
        None => Ok(None),
        Some(Value::String(directive))
            if ["delete", "replace", "merge"].contains(&directive.as_str()) =>
        {
            Ok(Some(directive))
        }
        Some(other) => Err(wrong(format!("$patch: {other} does not exist"))),
    }
}

/// An element that is nothing but a directive for its list.
fn is_bare_directive(element: &Value) -> bool {
    element.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("$patch"))
}

/// The keys by which a list of Kubernetes' own kinds is merged; none for a list that is replaced,
/// no key for a set of plain values.
fn merge_keys(kind: &str, path: &[String]) -> Option<&'static [&'static str]> {
    let (field, above) = path.split_last()?;
    let parent = above.last().map(String::as_str).unwrap_or_default();
    let in_container = ["containers", "initContainers", "ephemeralContainers"].contains(&parent);
    match (field.as_str(), parent) {
        (
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "imagePullSecrets"
            | "resourceClaims"
            | "schedulingGates",
            "spec",
        ) => Some(&["name"]),
        ("hostAliases", "spec") => Some(&["ip"]),
        ("topologySpreadConstraints", "spec") => Some(&["topologyKey", "whenUnsatisfiable"]),
        ("ports", "spec") if kind == "Service" => Some(&["port", "protocol"]),
        ("ports", _) if in_container => Some(&["containerPort", "protocol"]),
        ("env", _) if in_container => Some(&["name"]),
        ("volumeMounts", _) if in_container => Some(&["mountPath"]),
        ("volumeDevices", _) if in_container => Some(&["devicePath"]),
        ("claims", "resources") | ("webhooks", "") => Some(&["name"]),
        ("secrets", "") if kind == "ServiceAccount" => Some(&["name"]),
        ("ownerReferences", "metadata") => Some(&["uid"]),
        ("finalizers", "metadata") => Some(&[]),
        ("conditions", "status") => Some(&["type"]),
        _ => None,
    }
}
