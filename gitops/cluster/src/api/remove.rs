//! Removing objects behind Flux' back, as somebody with kubectl might.
//!
//! Source: `DeleteOptions` of `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`.

use gitops::ObjectId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Place, document, failure, not_found};
use crate::http::Answer;
use crate::pod::Stop;

/// What a client may ask for beside the removal.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    dry_run: Vec<String>,
    grace_period_seconds: Option<u64>,
    orphan_dependents: bool,
    preconditions: Preconditions,
    propagation_policy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Options {
    /// Reads the body of a request; the error is what the client is told.
    fn parse(body: &str) -> Result<Self, String> {
        let options: Self = match body {
            "" => Self::default(),
            body => serde_json::from_str(body).map_err(|error| format!("no options: {error}"))?,
        };
        let unheeded = match &options {
            Self { dry_run, .. } if !dry_run.is_empty() => "dryRun",
            Self { grace_period_seconds: Some(1..), .. } => "gracePeriodSeconds but 0",
            Self { orphan_dependents: true, .. } => "orphanDependents",
            Self { propagation_policy, .. } if propagation_policy == "Orphan" => {
                "propagationPolicy Orphan"
            }
            _ => return Ok(options),
        };
        Err(format!("this stand-in knows no {unheeded}"))
    }
}

impl Api {
    pub(super) fn remove(&self, place: &Place<'_>, body: &str) -> Result<Answer, Answer> {
        let options = Options::parse(body).map_err(|why| failure(400, "BadRequest", &why))?;
        let id = self.named(place)?;
        let absent = || not_found(&format!("{} \"{}\"", place.plural, id.name));
        let (_, objects) = self.store.snapshot(|| self.pods());
        let there = objects.iter().find(|object| is_it(object, &id)).ok_or_else(absent)?;
        let metadata = &there["metadata"];
        let Preconditions { uid, resource_version } = &options.preconditions;
        for (field, wanted) in [("uid", uid), ("resourceVersion", resource_version)] {
            if wanted.as_ref().is_some_and(|wanted| metadata[field] != **wanted) {
                let why = format!("{field} in the precondition is not {}", metadata[field]);
                return Err(failure(409, "Conflict", &why));
            }
        }
        let how = match options.grace_period_seconds {
            Some(0) => Stop::Kill,
            _ => Stop::Drain,
        };
        match self.take_away(&id, how) {
            true => Ok(document(&json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {
                    "name": id.name, "kind": place.plural, "group": id.group, "uid": metadata["uid"],
                },
            }))),
            false => Err(absent()),
        }
    }

    /// Removes an object; says whether it was there.
    pub(crate) fn delete(&self, id: &ObjectId) -> bool {
        self.take_away(id, Stop::Drain)
    }

    fn take_away(&self, id: &ObjectId, how: Stop) -> bool {
        match (id.group.as_str(), id.kind.as_str()) {
            ("", "Pod") => self.kubelet.find(&id.namespace, &id.name).is_some_and(|pod| {
                pod.stop(how);
                true
            }),
            _ => self.store.delete(id),
        }
    }
}

fn is_it(object: &Value, id: &ObjectId) -> bool {
    let metadata = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    (group, &object["kind"]) == (&*id.group, &Value::from(&*id.kind))
        && (metadata("namespace"), metadata("name")) == (&*id.namespace, &*id.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_heeded_is_refused() {
        for body in
            ["", "{}", r#"{"propagationPolicy": "Background"}"#, r#"{"gracePeriodSeconds": 0}"#]
        {
            assert!(Options::parse(body).is_ok(), "{body}");
        }
        for body in [
            "nonsense",
            r#"{"dryRun": ["All"]}"#,
            r#"{"gracePeriodSeconds": 5}"#,
            r#"{"orphanDependents": true}"#,
            r#"{"propagationPolicy": "Orphan"}"#,
        ] {
            assert!(Options::parse(body).is_err(), "{body}");
        }
    }
}
