//! The `status` of a Kustomization, as the kustomize-controller writes it.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::{Condition, Healthy, Outcome, Status};
use crate::flux::format_duration;
use crate::get::timestamp;

/// How many entries of its history a Kustomization keeps.
const HISTORY: usize = 5;

/// The order of conditions; others come behind.
const FIRST: [&str; 3] = ["Stalled", "Reconciling", "Ready"];

impl Outcome {
    /// The `status` of the Kustomization after this, as the API server would show it.
    ///
    /// `previous` is the status before: what this outcome does not change is kept, as is the time
    /// of transition of a condition that has not turned.
    pub fn status(&self, generation: u64, previous: Option<&Value>, now: SystemTime) -> Value {
        let mut status = Writer::new(generation, previous, now);
        if let Some(revision) = &self.attempted_revision {
            status.set("lastAttemptedRevision", revision.as_str());
        }
        if let Some(revision) = &self.applied_revision {
            status.set("lastAppliedRevision", revision.as_str());
            match &self.origin_revision {
                Some(origin) => status.set("lastAppliedOriginRevision", origin.as_str()),
                None => drop(status.status.remove("lastAppliedOriginRevision")),
            }
        }
        if let Some(inventory) = &self.inventory {
            let entries: Vec<Value> = inventory
                .iter()
                .map(|id| json!({"id": id.inventory_id(), "v": id.version}))
                .collect();
            status.set("inventory", json!({"entries": entries}));
        }
        if let Some(digest) = &self.digest {
            status.remember(self, digest);
        }
        match &self.healthy {
            Healthy::NotReached => {}
            Healthy::NotAsked => status.drop_condition("Healthy"),
            Healthy::Told(condition) => status.condition("Healthy", condition),
        }
        status.end(&self.ready, Some(&self.progress))
    }
}

/// The `status` of a Kustomization that could not even begin: its source is not there, or what it
/// depends on is not ready.
pub fn blocked(
    why: &Condition,
    generation: u64,
    previous: Option<&Value>,
    now: SystemTime,
) -> Value {
    Writer::new(generation, previous, now).end(why, None)
}

struct Writer {
    status: Map<String, Value>,
    generation: u64,
    now: String,
}

impl Writer {
    fn new(generation: u64, previous: Option<&Value>, now: SystemTime) -> Self {
        let mut status = previous.and_then(Value::as_object).cloned().unwrap_or_default();
        // Before the first success the schema's default stands there.
        status.entry("observedGeneration").or_insert_with(|| (-1).into());
        Self { status, generation, now: timestamp(now) }
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.status.insert(field.to_owned(), value.into());
    }

    fn conditions(&mut self) -> &mut Vec<Value> {
        let conditions = self.status.entry("conditions").or_insert_with(|| json!([]));
        if !conditions.is_array() {
            *conditions = json!([]);
        }
        conditions.as_array_mut().expect("made an array above")
    }

    fn condition(&mut self, kind: &str, condition: &Condition) {
        let (generation, now) = (self.generation, self.now.clone());
        let conditions = self.conditions();
        let known = conditions.iter().find(|it| it["type"] == kind);
        let same = known.filter(|it| it["status"] == condition.status.as_str());
        let since = same.and_then(|it| it["lastTransitionTime"].as_str()).unwrap_or(&now);
        let next = json!({
            "type": kind,
            "status": condition.status.as_str(),
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": generation,
            "lastTransitionTime": since,
        });
        conditions.retain(|it| it["type"] != kind);
        conditions.push(next);
    }

    fn drop_condition(&mut self, kind: &str) {
        self.conditions().retain(|it| it["type"] != kind);
    }

    /// `Ready`, and with it `Reconciling`, which says of a failure how far it got.
    fn end(mut self, ready: &Condition, progress: Option<&str>) -> Value {
        self.condition("Ready", ready);
        if ready.status == Status::True {
            self.drop_condition("Reconciling");
            self.set("observedGeneration", self.generation);
        } else {
            let former = |it: &Value| it["message"].as_str().map(str::to_owned);
            let message = progress.map(str::to_owned).or_else(|| {
                self.conditions().iter().find(|it| it["type"] == "Reconciling").and_then(former)
            });
            if let Some(message) = message {
                let reason = "ProgressingWithRetry";
                self.condition("Reconciling", &Condition { status: Status::True, reason, message });
            }
        }
        self.conditions().sort_by_key(|it| {
            let kind = it["type"].as_str().unwrap_or_default();
            let place = FIRST.iter().position(|other| *other == kind);
            (place.unwrap_or(FIRST.len()), kind.to_owned())
        });
        self.status.into()
    }

    /// One entry for each content and verdict, the last one first.
    fn remember(&mut self, outcome: &Outcome, digest: &str) {
        let verdict = outcome.ready.reason;
        let mut history = match self.status.remove("history") {
            Some(Value::Array(history)) => history,
            _ => Vec::new(),
        };
        // A health check that was broken off has no verdict.
        if verdict != "HealthCheckCanceled" {
            let is_it =
                |it: &Value| it["digest"] == digest && it["lastReconciledStatus"] == verdict;
            let former = history.iter().position(is_it).map(|place| history.remove(place));
            let first = former.as_ref().and_then(|it| it["firstReconciled"].as_str());
            let n = former.as_ref().and_then(|it| it["totalReconciliations"].as_u64());
            let mut metadata = json!({ "revision": outcome.revision });
            if let Some(origin) = &outcome.origin_revision {
                metadata["originRevision"] = origin.as_str().into();
            }
            let entry = json!({
                "digest": digest,
                "firstReconciled": first.unwrap_or(&self.now),
                "lastReconciled": self.now,
                "lastReconciledDuration": format_duration(outcome.took),
                "lastReconciledStatus": verdict,
                "totalReconciliations": n.unwrap_or(0) + 1,
                "metadata": metadata,
            });
            history.insert(0, entry);
            history.truncate(HISTORY);
        }
        if !history.is_empty() {
            self.set("history", history);
        }
    }
}
