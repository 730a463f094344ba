//! The reconciliations of a Kustomization: what each was made for, how it ended, and when the next
//! one is due.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gitops::Object;
use gitops::flux::Kustomization;
use serde_json::Value;

use crate::changes::Changes;
use crate::clock::Moment;
use crate::flux::REQUESTED;
use crate::reconcile::Ended;
use crate::source::Artifact;

/// The least time between two reconciliations of one revision, however the cluster drifts.
const CALM: Duration = Duration::from_secs(1);

/// The last or present reconciliation of a Kustomization.
pub(crate) struct Attempt {
    uid: String,
    pub(crate) trigger: Trigger,
    begun: Moment,
    /// Set before whoever waits for the end is woken.
    is_over: Arc<AtomicBool>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) running: Option<JoinHandle<Ended>>,
    pub(crate) ended: Ended,
    /// The Kustomization as it was seen last: what says what happens when it is gone.
    pub(crate) object: Object,
}

/// What a reconciliation was made for; another value is another reconciliation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trigger {
    pub(crate) revision: String,
    generation: Option<Value>,
    pub(crate) requested_at: Option<String>,
}

impl Attempt {
    /// Has `run` reconcile in a thread of its own, whose end is a change.
    pub(crate) fn begin(
        object: &Object,
        trigger: Trigger,
        changes: &Arc<Changes>,
        cancelled: Arc<AtomicBool>,
        run: impl FnOnce() -> Ended + Send + 'static,
    ) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Over(Arc::clone(&is_over), Arc::clone(changes));
        let work = move || {
            let _over = over;
            run()
        };
        let named = thread::Builder::new().name(format!("reconcile {}", object.name()));
        let running = Some(named.spawn(work)?);
        let (begun, ended, object) = (Moment::now(), Ended::default(), object.clone());
        Ok(Self {
            uid: uid_of(&object),
            trigger,
            begun,
            is_over,
            cancelled,
            running,
            ended,
            object,
        })
    }

    /// Whether it is one of this very object, and not of another one of its name.
    pub(crate) fn is_of(&self, object: &Object) -> bool {
        self.uid == uid_of(object)
    }

    /// Whether it is still under way; takes its end in as soon as it is not.
    pub(crate) fn is_running(&mut self) -> bool {
        match self.running.take() {
            None => false,
            Some(thread) if !self.is_over.load(Ordering::Acquire) => {
                self.running = Some(thread);
                true
            }
            Some(thread) => {
                // One that panicked has failed, and is tried again.
                self.ended = thread.join().unwrap_or_default();
                false
            }
        }
    }

    /// When the Kustomization is reconciled again by itself: after its interval, or sooner where this
    /// failed.
    pub(crate) fn turn(&self, kustomization: &Kustomization) -> Moment {
        let pause = match self.ended.ready {
            true => kustomization.interval,
            false => kustomization.retry_interval,
        };
        self.begun + pause
    }

    /// From when on what drifts is repaired.
    pub(crate) fn calm(&self) -> Moment {
        self.begun + CALM
    }

    /// When to look again although nothing has changed: what drifted in the calm is seen at its end.
    pub(crate) fn next_look(&self, kustomization: &Kustomization, now: Moment) -> Moment {
        let (calm, turn) = (self.calm(), self.turn(kustomization));
        if calm > now { calm.min(turn) } else { turn }
    }
}

/// Says that a reconciliation is over when it is dropped, however that comes.
struct Over(Arc<AtomicBool>, Arc<Changes>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        self.1.notify();
    }
}

impl Trigger {
    pub(crate) fn of(object: &Object, artifact: &Artifact) -> Self {
        Self {
            revision: artifact.revision.clone(),
            generation: object.at("/metadata/generation").cloned(),
            requested_at: object.annotation(REQUESTED).map(str::to_owned),
        }
    }
}

fn uid_of(object: &Object) -> String {
    object.at("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kustomization() -> (Object, Kustomization) {
        let object = "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app, namespace: default}
spec: {interval: 10m, retryInterval: 2m, prune: true, sourceRef: {kind: GitRepository, name: a}}
";
        let object: Object = object.parse().unwrap();
        let read = Kustomization::read(&object).unwrap().unwrap();
        (object, read)
    }

    #[test]
    fn a_kustomization_comes_again_after_its_interval_and_sooner_after_a_failure() {
        let (object, kustomization) = kustomization();
        let begun = Moment::now();
        let mut attempt = Attempt {
            uid: String::new(),
            trigger: Trigger::default(),
            begun,
            is_over: Arc::default(),
            cancelled: Arc::default(),
            running: None,
            ended: Ended { ready: true, applied: None },
            object,
        };
        let looks = |attempt: &Attempt, seconds: u64| {
            let next = attempt.next_look(&kustomization, begun + Duration::from_secs(seconds));
            next.since(begun).as_secs()
        };
        assert_eq!([0, 1, 599].map(|now| looks(&attempt, now)), [1, 600, 600]);
        attempt.ended.ready = false;
        assert_eq!([0, 1, 119].map(|now| looks(&attempt, now)), [1, 120, 120]);
    }
}
