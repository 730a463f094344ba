//! `status.conditions`, as controllers keep them.

use std::time::SystemTime;

use gitops::get::timestamp;
use serde_json::{Value, json};

/// One condition of an object.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'static str,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Condition {
    pub(crate) fn new(
        kind: &'static str,
        status: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status, reason: reason.to_owned(), message: message.into() }
    }
}

/// The conditions as a list; one whose status is as it was in `object` keeps its time.
pub(crate) fn list(object: &Value, conditions: Vec<Condition>) -> Value {
    let generation = object.pointer("/metadata/generation").cloned().unwrap_or(0.into());
    let build = |condition: Condition| {
        let known =
            find(object, condition.kind).filter(|known| known["status"] == condition.status);
        let since = known.map_or_else(
            || timestamp(SystemTime::now()).into(),
            |known| known["lastTransitionTime"].clone(),
        );
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
pub(crate) fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of that type is `True`, and was set for the present spec.
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| {
        condition["status"] == "True"
            && condition["observedGeneration"] == object["metadata"]["generation"]
    })
}
