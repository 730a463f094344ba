//! Lists that are merged by the keys of their elements.
//!
//! kustomize does this in place and through steps of its own (`walk/associative_sequence.go`), which
//! show where keys are missing or stand twice; so the same steps are taken here. Elements lie in
//! slots, and lists hold the numbers of slots: an element that is changed is so wherever it stands.

use serde_json::{Map, Value};

use super::{Merger, key_text};
use crate::kustomize::patch::wrong;
use crate::kustomize::schema::At;
use crate::{Result, yaml};

/// The elements of a list by their slots.
struct Slots(Vec<Value>);

impl<'a> Merger<'a> {
    /// Merges a list by keys; no key for a set of scalars. None for `old` when the patch adds all.
    pub(super) fn keyed(
        &self,
        old: Option<Vec<Value>>,
        patch: Option<&[Value]>,
        keys: &'a [String],
        at: Option<At<'a>>,
        path: &mut String,
    ) -> Result<Value> {
        let no_key = [String::new()];
        let keys = if keys.is_empty() { &no_key[..] } else { keys };
        let is_added = old.is_none();
        // What is added is walked over itself.
        let (old, patch) = match (old, patch) {
            (Some(old), patch) => (old, patch),
            (None, patch) => (patch.unwrap_or_default().to_vec(), None),
        };
        let of_old: Vec<Vec<String>> = old.iter().map(|it| values_of(it, keys)).collect();
        let of_patch = patch.into_iter().flatten().map(|it| values_of(it, keys));
        let mut tuples: Vec<Vec<String>> = Vec::new();
        for tuple in of_patch.chain(of_old) {
            if !tuples.contains(&tuple) {
                tuples.push(tuple);
            }
        }
        if tuples.is_empty() {
            return Ok(Value::Array(old));
        }
        if keys.len() > 1 {
            fill(&mut tuples);
        }
        let valid: Vec<String> = valid_keys(&tuples, keys);
        let mut slots = Slots(old);
        let mut there: Vec<usize> = (0..slots.0.len()).collect();
        let mut made: Vec<usize> = Vec::new();
        let element_at = at.and_then(|at| at.elements());
        for tuple in &tuples {
            let values: Vec<String> = valid
                .iter()
                .filter_map(|key| Some(tuple[keys.iter().position(|it| it == key)?].clone()))
                .collect();
            let (own_keys, own_values) = own(&valid, &values);
            let n = slots.find(&there, &own_keys, &own_values);
            let change = patch.and_then(|it| it.iter().find(|it| fits(it, &own_keys, &own_values)));
            let end = path.len();
            if let Some(n) = n.filter(|_| !self.blanks.is_empty()) {
                path.push_str(&format!("/{n}"));
            }
            // Neither changes the element: one that cannot be taken away by its keys stays.
            let is_replaced = change.is_some_and(|it| {
                ["replace", "delete"].iter().any(|word| it.get("$patch") == Some(&(*word).into()))
            });
            let merged = match n {
                Some(n) if is_added => self.adopted(&slots.0[n].take(), element_at)?,
                Some(n) if is_replaced => {
                    self.value(Some(slots.0[n].clone()), change, element_at, path)?
                }
                Some(n) => self.value(Some(slots.0[n].take()), change, element_at, path)?,
                None => self.value(None, change, element_at, path)?,
            };
            path.truncate(end);
            let Some(mut merged) = merged.filter(|it| !is_void(it)) else {
                slots.set(&mut there, None, &valid, &values)?;
                continue;
            };
            for (key, value) in valid.iter().zip(&values) {
                if let Value::Object(map) = &mut merged
                    && !map.contains_key(key)
                    && !value.is_empty()
                {
                    map.insert(key.clone(), yaml::plain(value));
                }
            }
            let slot = match n {
                Some(n) if !is_replaced => {
                    slots.0[n] = merged;
                    n
                }
                _ => slots.push(merged),
            };
            slots.set(&mut made, Some(slot), &valid, &values)?;
        }
        slots.append(&mut made, &there, &valid)?;
        Ok(Value::Array(made.into_iter().map(|n| slots.0[n].clone()).collect()))
    }
}

impl Slots {
    fn push(&mut self, value: Value) -> usize {
        self.0.push(value);
        self.0.len() - 1
    }

    /// The first element of a list that has the values (`ElementMatcher`).
    fn find(&self, list: &[usize], keys: &[String], values: &[String]) -> Option<usize> {
        list.iter().copied().find(|n| fits(&self.0[*n], keys, values))
    }

    /// Puts an element where one with its values is, or at the end; without an element, takes those
    /// with the values away (`ElementSetter`).
    fn set(
        &self,
        list: &mut Vec<usize>,
        element: Option<usize>,
        keys: &[String],
        values: &[String],
    ) -> Result<()> {
        let mut kept = Vec::with_capacity(list.len() + 1);
        let mut is_placed = false;
        let has_keys = keys.iter().any(|key| !key.is_empty());
        for n in list.iter().copied() {
            let value = &self.0[n];
            if is_void(value) {
                continue;
            }
            if has_keys && !value.is_object() {
                kept.push(n);
                continue;
            }
            // Where fewer values than keys are known, the rest counts as found.
            let mut found = false;
            for (j, key) in keys.iter().enumerate() {
                if let Some(wanted) = values.get(j) {
                    found = has(value, key, wanted);
                }
                if !found {
                    break;
                }
            }
            match (found, element) {
                (false, _) if values.is_empty() => {}
                (false, _) => kept.push(n),
                (true, None) => is_placed = true,
                (true, Some(element)) => {
                    is_placed = true;
                    kept.push(element);
                }
            }
        }
        if let (Some(element), false) = (element, is_placed) {
            kept.push(element);
        }
        *list = kept;
        Ok(())
    }

    /// Puts the old elements behind those that were made; one that is there stays in its place
    /// (`appendListNode`).
    fn append(&self, made: &mut Vec<usize>, old: &[usize], keys: &[String]) -> Result<()> {
        for n in old.iter().copied() {
            let element = &self.0[n];
            if keys[0].is_empty() {
                let text = super::fields::text(element);
                self.set(made, Some(n), &[String::new()], &[text])?;
                continue;
            }
            let Value::Object(map) = element else {
                return Err(wrong(format!("{element} stands in a list of mappings")));
            };
            let mut values = Vec::new();
            for key in keys {
                match map.get(key) {
                    Some(_) => values.push(key_text(element, key)),
                    None => made.push(n),
                }
            }
            if keys.len() > 1 {
                self.set(made, None, keys, &values)?;
            }
            self.set(made, Some(n), keys, &values)?;
        }
        Ok(())
    }
}

/// The values of an element's keys; of a scalar its text, when there is no key.
fn values_of(element: &Value, keys: &[String]) -> Vec<String> {
    keys.iter()
        .map(|key| match key.as_str() {
            "" => super::fields::text(element),
            key => match element.get(key) {
                Some(value) if is_void(value) || value.is_array() => String::new(),
                _ => key_text(element, key),
            },
        })
        .collect()
}

/// The keys for which some element has a value; all when none has.
fn valid_keys(tuples: &[Vec<String>], keys: &[String]) -> Vec<String> {
    let is_used = |n: usize| tuples.iter().any(|tuple| !tuple[n].is_empty());
    let used: Vec<String> =
        (0..keys.len()).filter(|n| is_used(*n)).map(|n| keys[n].clone()).collect();
    if used.is_empty() { keys.to_vec() } else { used }
}

/// The keys for which this element has a value; all when it has none.
fn own(keys: &[String], values: &[String]) -> (Vec<String>, Vec<String>) {
    let own: Vec<(String, String)> = keys
        .iter()
        .zip(values)
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if own.is_empty() { (keys.to_vec(), values.to_vec()) } else { own.into_iter().unzip() }
}

/// Of tuples that agree where both have a value, each gets the values of the other.
fn fill(tuples: &mut [Vec<String>]) {
    for i in 0..tuples.len() {
        for j in 0..tuples.len() {
            let (one, other) = (&tuples[i], &tuples[j]);
            let agree = one.iter().zip(other).any(|(a, b)| a == b)
                && one.iter().zip(other).all(|(a, b)| a == b || a.is_empty() || b.is_empty());
            if agree {
                let both: Vec<String> = one
                    .iter()
                    .zip(other)
                    .map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() })
                    .collect();
                tuples[i].clone_from(&both);
                tuples[j] = both;
            }
        }
    }
}

fn fits(element: &Value, keys: &[String], values: &[String]) -> bool {
    match keys {
        [key] if key.is_empty() => super::fields::text(element) == values[0],
        _ => {
            element.is_object()
                && keys.iter().zip(values).all(|(key, value)| {
                    element.get(key).is_some_and(|_| key_text(element, key) == *value)
                })
        }
    }
}

/// Whether a field has a value; an empty one fits any.
fn has(element: &Value, key: &str, value: &str) -> bool {
    match (element, key) {
        (_, "") => super::fields::text(element) == value,
        (Value::Object(map), key) => {
            map.get(key).is_some_and(|_| value.is_empty() || key_text(element, key) == value)
        }
        _ => false,
    }
}

fn is_void(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}
