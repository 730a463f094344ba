//! `status.conditions`, as controllers keep them.

use serde_json::{Value, json};

use super::clock;

/// One condition of an object.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub(super) status: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Condition {
    pub(super) fn new(
        kind: &'static str,
        status: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status, reason: reason.to_owned(), message: message.into() }
    }
}

/// The conditions as a list; one whose status is as it was in `object` keeps its time.
pub(super) fn list(object: &Value, conditions: Vec<Condition>) -> Value {
    let generation = object.pointer("/metadata/generation").cloned().unwrap_or(0.into());
    let build = |condition: Condition| {
        let known =
            find(object, condition.kind).filter(|known| known["status"] == condition.status);
        let since =
            known.map_or_else(|| clock::now().into(), |known| known["lastTransitionTime"].clone());
        json!({
            "type": condition.kind,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": since,
            "observedGeneration": generation,
        })
    };
    conditions.into_iter().map(build).collect()
}

/// The condition of that type, if the object has it.
pub(super) fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of that type is `True`, and was set for the present spec.
pub(super) fn holds(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| {
        condition["status"] == "True"
            && condition["observedGeneration"] == object["metadata"]["generation"]
    })
}
