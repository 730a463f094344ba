//! What came of a reconciliation, and the status that tells it.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::ObjectId;
use crate::get::timestamp;

/// What came of a reconciliation, in the words of Flux' kustomize-controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The condition `Ready`.
    pub ready: Condition,
    /// The revision that was tried.
    pub attempted_revision: String,
    /// The revision that was applied, where it got so far.
    pub applied_revision: Option<String>,
    /// What the cluster holds for this Kustomization now.
    pub inventory: Vec<ObjectId>,
    /// What changed in the cluster.
    pub changes: Vec<Change>,
}

impl Outcome {
    /// Whether all went well.
    pub fn is_ready(&self) -> bool {
        self.ready.status == Status::True
    }

    /// The `status` of the Kustomization, as the API server would show it.
    ///
    /// `previous` is the status before: when `Ready` has not turned, its time of transition is
    /// kept, as is the revision applied last.
    pub fn status(&self, generation: u64, previous: Option<&Value>, now: SystemTime) -> Value {
        let before = previous.and_then(|status| {
            status["conditions"]
                .as_array()?
                .iter()
                .find(|condition| condition["type"] == "Ready")
                .cloned()
        });
        let same =
            before.as_ref().filter(|condition| condition["status"] == self.ready.status.as_str());
        let since = same
            .and_then(|condition| condition["lastTransitionTime"].as_str().map(str::to_owned))
            .unwrap_or_else(|| timestamp(now));
        let applied = self
            .applied_revision
            .as_deref()
            .or_else(|| previous?.get("lastAppliedRevision")?.as_str());
        let entries: Vec<Value> = self
            .inventory
            .iter()
            .map(|id| json!({"id": id.inventory_id(), "v": id.version}))
            .collect();
        let mut status = json!({
            "observedGeneration": generation,
            "lastAttemptedRevision": self.attempted_revision,
            "inventory": {"entries": entries},
            "conditions": [self.ready.to_value(generation, &since)],
        });
        if let Some(applied) = applied {
            status["lastAppliedRevision"] = applied.into();
        }
        status
    }
}

/// One change of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which object.
    pub id: ObjectId,
    /// What happened to it.
    pub action: Action,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// It was changed.
    Configured,
    /// It was removed, since it left the source.
    Deleted,
}

impl Action {
    /// The word in Flux' events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Deleted => "deleted",
        }
    }
}

/// A condition of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub status: Status,
    /// Why, in one word: `ReconciliationSucceeded`, `BuildFailed`, …
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

impl Condition {
    fn to_value(&self, generation: u64, since: &str) -> Value {
        json!({
            "type": "Ready",
            "status": self.status.as_str(),
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
            "lastTransitionTime": since,
        })
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// The word as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
