//! The objects that are applied together: what of them belongs to what.

use serde_json::{Map, Value};

use crate::Object;

/// Objects of one cluster, as far as they are known.
pub(super) struct Scope<'a> {
    pub(super) objects: Vec<&'a Object>,
}

impl<'a> Scope<'a> {
    /// Those of a kind in the namespace of another object.
    pub(super) fn beside(&self, object: &Object, kind: &str) -> impl Iterator<Item = &'a Object> {
        let (kind, namespace) = (kind.to_owned(), object.namespace().to_owned());
        let objects = self.objects.iter().copied();
        objects.filter(move |it| it.kind() == kind && it.namespace() == namespace)
    }
}

/// Whether a label selector (`matchLabels`, `matchExpressions`) selects these labels; an empty one
/// selects all.
pub(super) fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector.filter(|it| !it.is_null()) else { return false };
    let none = Map::new();
    let labels = labels.and_then(Value::as_object).unwrap_or(&none);
    let exact = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(&none);
    let mut expressions =
        selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    includes(exact, labels)
        && expressions.all(|expression| {
            let value = expression["key"].as_str().and_then(|key| labels.get(key));
            let is_among = || {
                let values = expression.get("values").and_then(Value::as_array);
                value.is_some_and(|value| values.is_some_and(|values| values.contains(value)))
            };
            match expression["operator"].as_str() {
                Some("In") => is_among(),
                Some("NotIn") => !is_among(),
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}

/// Whether a Service's selector, a plain map, selects these labels; an empty one selects nothing.
pub(super) fn is_served(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let (Some(Value::Object(selector)), Some(Value::Object(labels))) = (selector, labels) else {
        return false;
    };
    !selector.is_empty() && includes(selector, labels)
}

fn includes(selector: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
