//! What the kustomize-controller tells of a reconciliation by events.

use std::time::Duration;

use serde_json::Value;

use super::{Action, Change, Healthy, Outcome, Status};
use crate::flux::format_duration;

/// One event of a Kustomization, as `kubectl get events` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether its type is `Warning`, and not `Normal`.
    pub is_warning: bool,
    /// The reason of the condition `Ready` when it happened.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

impl Notice {
    /// That something went as it should.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_warning: false, reason, message: message.into() }
    }

    /// That a Kustomization which was deleted took these objects with it; none where it had none.
    pub fn finalized(reason: &'static str, deleted: &[Change]) -> Option<Self> {
        told(deleted, |_| true).map(|message| Self::normal(reason, message))
    }
}

/// While it runs, `Ready` has this reason.
const PROGRESSING: &str = "Progressing";

impl Outcome {
    /// The events of this reconciliation, in order.
    ///
    /// `previous` is the status before, and `interval` that of the Kustomization. What was applied,
    /// what was pruned, that health has come back, and how it ended; where a stage was refused, what
    /// the former ones changed stands in the message of the failure.
    /// Source: kustomize-controller 1.9.6, `internal/controller/kustomization_controller.go`.
    pub fn notices(&self, previous: Option<&Value>, interval: Duration) -> Vec<Notice> {
        let is_applied = self.inventory.is_some();
        let applied = told(&self.changes, |it| it != Action::Deleted).filter(|_| is_applied);
        let pruned = told(&self.changes, |it| it == Action::Deleted);
        let is_changed = applied.is_some();
        let mut notices: Vec<Notice> =
            applied.into_iter().chain(pruned).map(|it| Notice::normal(PROGRESSING, it)).collect();
        if let Healthy::Told(it) = &self.healthy
            && it.status == Status::True
            && (!was_healthy(previous) || is_changed && self.is_news(previous))
        {
            notices.push(Notice::normal(PROGRESSING, &it.message));
        }
        notices.push(match self.is_ready() {
            true => {
                let (took, next) = (format_duration(self.took), format_duration(interval));
                let message = format!("Reconciliation finished in {took}, next run in {next}");
                Notice::normal(self.ready.reason, message)
            }
            false => Notice {
                is_warning: self.ready.reason != "HealthCheckCanceled",
                reason: self.ready.reason,
                message: self.ready.message.clone(),
            },
        });
        notices
    }

    fn is_news(&self, previous: Option<&Value>) -> bool {
        let applied = previous.map(|it| &it["lastAppliedRevision"]);
        applied.is_none_or(|it| *it != self.revision)
    }
}

fn was_healthy(previous: Option<&Value>) -> bool {
    let conditions = previous.and_then(|it| it["conditions"].as_array());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| it["type"] == "Healthy" && it["status"] == "True")
}

/// A line for each change of a kind; none where there are none.
fn told(changes: &[Change], is_it: impl Fn(Action) -> bool) -> Option<String> {
    let lines: Vec<String> = changes
        .iter()
        .filter(|it| is_it(it.action))
        .map(|it| format!("{} {}", it.id, it.action.word()))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ObjectId;
    use crate::reconcile::Condition;

    fn outcome(ready: &'static str, changes: &[(&str, Action)], healthy: Healthy) -> Outcome {
        let is_ready = ready == "ReconciliationSucceeded";
        let change = |(name, action): &(&str, Action)| Change {
            id: ObjectId::from_inventory(&format!("default_{name}__ConfigMap"), "v1").unwrap(),
            action: *action,
        };
        Outcome {
            ready: Condition {
                status: if is_ready { Status::True } else { Status::False },
                reason: ready,
                message: "why".to_owned(),
            },
            healthy,
            progress: String::new(),
            revision: "main@sha1:2".to_owned(),
            attempted_revision: None,
            applied_revision: None,
            origin_revision: None,
            inventory: (ready != "ReconciliationFailed").then(Vec::new),
            changes: changes.iter().map(change).collect(),
            digest: None,
            took: Duration::from_millis(1500),
        }
    }

    fn check(outcome: &Outcome, previous: Option<Value>, expected: &[&str]) {
        let notices = outcome.notices(previous.as_ref(), Duration::from_secs(600));
        let told: Vec<String> = notices
            .iter()
            .map(|it| {
                let kind = if it.is_warning { "Warning" } else { "Normal" };
                format!("{kind} {}: {}", it.reason, it.message)
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn changes_health_and_the_end_are_told_in_order() {
        let healthy = Healthy::Told(Condition {
            status: Status::True,
            reason: "Succeeded",
            message: "Health check passed in 20ms".to_owned(),
        });
        let changes = [("a", Action::Created), ("b", Action::Configured), ("c", Action::Deleted)];
        let ended =
            "Normal ReconciliationSucceeded: Reconciliation finished in 1.500s, next run in 10m0s";
        let all = [
            "Normal Progressing: ConfigMap/default/a created\nConfigMap/default/b configured",
            "Normal Progressing: ConfigMap/default/c deleted",
            "Normal Progressing: Health check passed in 20ms",
            ended,
        ];
        let done = outcome("ReconciliationSucceeded", &changes, healthy.clone());
        let was = |revision: &str| {
            Some(json!({
                "conditions": [{"type": "Healthy", "status": "True"}],
                "lastAppliedRevision": revision,
            }))
        };
        check(&done, None, &all);
        check(&done, was("main@sha1:1"), &all);
        check(&done, was("main@sha1:2"), &[all[0], all[1], ended]);
        let same = outcome("ReconciliationSucceeded", &[], healthy);
        check(&same, was("main@sha1:1"), &[ended]);
    }

    #[test]
    fn a_failure_is_a_warning_and_tells_what_was_applied_itself() {
        let changes = [("a", Action::Created)];
        let failed = outcome("ReconciliationFailed", &changes, Healthy::NotReached);
        check(&failed, None, &["Warning ReconciliationFailed: why"]);
        let unhealthy = outcome("HealthCheckFailed", &changes, Healthy::NotReached);
        let applied = "Normal Progressing: ConfigMap/default/a created";
        check(&unhealthy, None, &[applied, "Warning HealthCheckFailed: why"]);
    }
}
