//! Watching: each change of the objects that are asked for is a line, until the client leaves.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::form::Form;
use super::query::Query;
use super::{Api, failed};
use crate::discovery::Resource;
use crate::http::Sink;
use crate::store::Change;

/// How often it is looked whether the client is still there.
const ROUND: Duration = Duration::from_secs(1);
/// How often a client that wants to know is told how far it has seen.
const BOOKMARK: Duration = Duration::from_secs(60);

/// Objects that are watched.
pub(super) struct Watch {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) query: Query,
    pub(super) form: Form,
}

impl Watch {
    /// Writes until the client leaves, its time is over, or it has missed something.
    pub(super) fn run(&self, api: &Api, sink: &Sink) {
        let mut seen = api.changes.count();
        let mut version = match self.query.version {
            Some(version) => version,
            None => match self.begin(api, sink) {
                Some(version) => version,
                None => return,
            },
        };
        let end = self.query.timeout.map(|timeout| Instant::now() + timeout);
        let mut told = Instant::now();
        while sink.is_open() {
            let Some(changes) = api.store.changes_since(version, || api.pods()) else {
                let message = format!("too old resource version: {version}");
                let line = json!({"type": "ERROR", "object": failed(410, "Expired", &message)});
                sink.send(format!("{line}\n"));
                return;
            };
            for change in changes {
                version = change.version;
                if let Some((kind, object)) = self.event(&change)
                    && !self.tell(sink, kind, object, version)
                {
                    return;
                }
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if self.query.bookmarks && (told.elapsed() > BOOKMARK || left == Some(Duration::ZERO)) {
                told = Instant::now();
                sink.send(self.bookmark(version, false));
            }
            if left == Some(Duration::ZERO) {
                return;
            }
            api.changes.wait(seen, left.unwrap_or(ROUND).min(ROUND));
            seen = api.changes.count();
        }
    }

    /// Says what is there; returns the version that it is of.
    fn begin(&self, api: &Api, sink: &Sink) -> Option<u64> {
        let (version, objects) = api.store.snapshot(|| api.pods());
        for object in objects.iter().filter(|object| self.selects(object)) {
            if !self.tell(sink, "ADDED", object, version) {
                return None;
            }
        }
        if self.query.initial {
            sink.send(self.bookmark(version, true));
        }
        Some(version)
    }

    fn selects(&self, object: &Value) -> bool {
        self.resource.has(object)
            && super::in_namespace(object, self.namespace.as_deref())
            && self.query.selects(object)
    }

    /// What a change is to somebody who sees these objects only.
    fn event<'a>(&self, change: &'a Change) -> Option<(&'static str, &'a Value)> {
        let before = change.before.as_deref().filter(|object| self.selects(object));
        let after = change.after.as_deref().filter(|object| self.selects(object));
        match (before, after) {
            (None, Some(after)) => Some(("ADDED", after)),
            (Some(_), Some(after)) => Some(("MODIFIED", after)),
            (Some(before), None) => Some(("DELETED", before)),
            (None, None) => None,
        }
    }

    fn tell(&self, sink: &Sink, kind: &str, object: &Value, version: u64) -> bool {
        let object = match self.form {
            Form::Table => {
                self.form.list(&self.resource, std::slice::from_ref(object), &self.query, None)
            }
            _ => {
                let mut object = self.form.one(object.clone());
                if kind == "DELETED" {
                    object["metadata"]["resourceVersion"] = version.to_string().into();
                }
                object
            }
        };
        sink.send(format!("{}\n", json!({"type": kind, "object": object})))
    }

    fn bookmark(&self, version: u64, is_first: bool) -> String {
        let mut metadata =
            json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
        if is_first {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata,
        });
        let object = match self.form {
            Form::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
                "columnDefinitions": [], "rows": [{"cells": [], "object": object}],
            }),
            _ => object,
        };
        format!("{}\n", json!({"type": "BOOKMARK", "object": object}))
    }
}
