//! The kustomize-controller's part: each Flux Kustomization is reconciled when its source, its spec
//! or its turn says so, and as soon as the cluster drifts from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gitops::Object;
use gitops::flux::Kustomization;
use serde_json::{Value, json};

use crate::Result;
use crate::changes::{Changes, locked};
use crate::condition::{self, Condition};
use crate::event::Events;
use crate::reconcile::{self, Ended, Run};
use crate::source::{Artifact, Sources};
use crate::store::Store;

const GROUP: &str = "kustomize.toolkit.fluxcd.io";
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// The least time between two reconciliations of one revision, however the cluster drifts.
const CALM: Duration = Duration::from_secs(1);

/// Namespace and name.
type Key = (String, String);

/// Reconciles all Kustomizations.
pub(crate) struct Flux {
    store: Arc<Store>,
    sources: Arc<Sources>,
    changes: Arc<Changes>,
    events: Events,
    attempts: Mutex<BTreeMap<Key, Attempt>>,
}

/// The last or present reconciliation of a Kustomization.
struct Attempt {
    uid: String,
    trigger: Trigger,
    begun: Instant,
    cancelled: Arc<AtomicBool>,
    running: Option<JoinHandle<Ended>>,
    ended: Ended,
    /// Whether what was applied goes when the Kustomization does.
    prune: bool,
}

/// What a reconciliation was made for; another value is another reconciliation.
#[derive(Clone, Debug, Default, PartialEq)]
struct Trigger {
    revision: String,
    generation: Option<Value>,
    requested_at: Option<String>,
}

/// How a Flux Kustomization is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KustomizationInfo {
    /// Whether all of the revision is applied and healthy.
    pub ready: bool,
    /// Whether it was tried, and given up until the next revision or retry.
    pub failed: bool,
    /// The reason of its condition.
    pub reason: String,
    /// The message of its condition.
    pub message: String,
    /// `main@sha1:…`, the last that succeeded.
    pub applied: String,
    /// The last that was tried.
    pub attempted: String,
}

impl Flux {
    pub(crate) fn new(
        store: Arc<Store>,
        sources: Arc<Sources>,
        changes: Arc<Changes>,
        events: Events,
    ) -> Self {
        Self { store, sources, changes, events, attempts: Mutex::default() }
    }

    /// One look at every Kustomization.
    pub(crate) fn sync(&self) -> Result<()> {
        let objects = self.store.list(GROUP, "Kustomization");
        let mut attempts = locked(&self.attempts);
        self.finalize(&objects, &mut attempts);
        for object in &objects {
            self.look(object, &mut attempts)?;
        }
        Ok(())
    }

    pub(crate) fn info(&self, namespace: &str, name: &str) -> Option<KustomizationInfo> {
        let objects = self.store.list(GROUP, "Kustomization");
        let found = objects
            .into_iter()
            .find(|object| object.namespace() == namespace && object.name() == name)?;
        Some(KustomizationInfo::read(found.value()))
    }

    /// Ends what is under way.
    pub(crate) fn join(&self) {
        let attempts = std::mem::take(&mut *locked(&self.attempts));
        for attempt in attempts.values() {
            attempt.cancelled.store(true, Ordering::Release);
        }
        self.changes.notify();
        for thread in attempts.into_values().filter_map(|attempt| attempt.running) {
            let _ = thread.join();
        }
    }

    /// A Kustomization that was deleted takes what it had applied with it.
    fn finalize(&self, objects: &[Object], attempts: &mut BTreeMap<Key, Attempt>) {
        attempts.retain(|key, attempt| {
            let lives = objects
                .iter()
                .any(|object| key_of(object) == *key && uid_of(object) == attempt.uid);
            if lives {
                return true;
            }
            attempt.cancelled.store(true, Ordering::Release);
            if attempt.is_running() {
                return true;
            }
            if attempt.prune {
                let subject = format!("kustomization {}/{}", key.0, key.1);
                self.events.tell(subject, "deleted, with all that it had applied");
                reconcile::delete_owned(&self.store, &key.0, &key.1);
            }
            false
        });
    }

    fn look(&self, object: &Object, attempts: &mut BTreeMap<Key, Attempt>) -> Result<()> {
        let Some(kustomization) = Kustomization::read(object)?.filter(|read| !read.suspend) else {
            return Ok(());
        };
        let artifact = self.artifact(&kustomization);
        if let Some(attempt) = attempts.get_mut(&key_of(object))
            && attempt.is_running()
        {
            attempt.yield_to(artifact.ok().as_deref());
            return Ok(());
        }
        let artifact = match artifact {
            Ok(artifact) => artifact,
            Err(why) => return self.report(object, "ArtifactFailed", &why),
        };
        if let Some(why) = self.blocked(&kustomization, &artifact) {
            return self.report(object, "DependencyNotReady", &why);
        }
        let trigger = Trigger::of(object, &artifact);
        match attempts.get(&key_of(object)) {
            Some(attempt) if !self.is_due(&kustomization, attempt, &trigger) => {}
            former => {
                let attempt = self.begin(object, kustomization, artifact, trigger, former)?;
                attempts.insert(key_of(object), attempt);
            }
        }
        Ok(())
    }

    fn artifact(&self, kustomization: &Kustomization) -> Result<Arc<Artifact>, String> {
        let source = &kustomization.source;
        match source.kind.as_str() {
            "GitRepository" => {
                self.sources.artifact(&source.namespace, &source.name).ok_or_else(|| {
                    format!(
                        "Source artifact not found: GitRepository/{}/{}",
                        source.namespace, source.name
                    )
                })
            }
            kind => Err(format!("this stand-in has no source controller for {kind}")),
        }
    }

    /// The first dependency that is not ready at the same revision.
    fn blocked(&self, kustomization: &Kustomization, artifact: &Artifact) -> Option<String> {
        kustomization.depends_on.iter().find_map(|(namespace, name)| {
            let info = self.info(namespace, name);
            let ready = info.is_some_and(|info| info.ready && info.applied == artifact.revision);
            (!ready).then(|| format!("dependency '{namespace}/{name}' is not ready"))
        })
    }

    fn is_due(&self, kustomization: &Kustomization, attempt: &Attempt, trigger: &Trigger) -> bool {
        let elapsed = attempt.begun.elapsed();
        let pause = match attempt.ended.ready {
            true => kustomization.interval,
            false => kustomization.retry_interval,
        };
        let drifted =
            |applied: &Vec<Object>| reconcile::has_drifted(&self.store, kustomization, applied);
        attempt.trigger != *trigger
            || elapsed >= pause
            || elapsed >= CALM && attempt.ended.applied.as_ref().is_some_and(drifted)
    }

    fn begin(
        &self,
        object: &Object,
        kustomization: Kustomization,
        artifact: Arc<Artifact>,
        trigger: Trigger,
        former: Option<&Attempt>,
    ) -> Result<Attempt> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let prune = kustomization.prune;
        let run = Run {
            id: object.id(),
            kustomization,
            artifact,
            requested_at: trigger.requested_at.clone(),
            is_news: former.is_none_or(|former| former.trigger != trigger),
            store: Arc::clone(&self.store),
            changes: Arc::clone(&self.changes),
            events: self.events.clone(),
            cancelled: Arc::clone(&cancelled),
        };
        let thread = thread::Builder::new()
            .name(format!("reconcile {}", object.name()))
            .spawn(move || run.reconcile())?;
        let (uid, running, ended) = (uid_of(object), Some(thread), Ended::default());
        Ok(Attempt { uid, trigger, begun: Instant::now(), cancelled, running, ended, prune })
    }

    fn report(&self, object: &Object, reason: &str, message: &str) -> Result<()> {
        let condition = Condition::new("Ready", "False", reason, message);
        let conditions = condition::list(object.value(), vec![condition]);
        self.store.change(&object.id(), |object| {
            let generation = object["metadata"]["generation"].clone();
            match object.get_mut("status").and_then(Value::as_object_mut) {
                None => {
                    object["status"] =
                        json!({"observedGeneration": generation, "conditions": conditions})
                }
                Some(status) => {
                    status.insert("observedGeneration".to_owned(), generation);
                    status.insert("conditions".to_owned(), conditions);
                }
            }
        })
    }
}

impl Attempt {
    /// A newer revision is worth more than the end of this one's wait for health.
    fn yield_to(&self, artifact: Option<&Artifact>) {
        if artifact.is_some_and(|artifact| artifact.revision != self.trigger.revision) {
            self.cancelled.store(true, Ordering::Release);
        }
    }

    /// Whether it is still under way; takes its end in as soon as it is not.
    fn is_running(&mut self) -> bool {
        match self.running.take() {
            None => false,
            Some(thread) if !thread.is_finished() => {
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
}

impl Trigger {
    fn of(object: &Object, artifact: &Artifact) -> Self {
        Self {
            revision: artifact.revision.clone(),
            generation: object.at("/metadata/generation").cloned(),
            requested_at: object.annotation(REQUESTED).map(str::to_owned),
        }
    }
}

impl KustomizationInfo {
    fn read(object: &Value) -> Self {
        let text = |pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let ready = condition::find(object, "Ready");
        let of_ready = |field: &str| {
            ready.and_then(|ready| ready[field].as_str()).unwrap_or_default().to_owned()
        };
        let reason = of_ready("reason");
        Self {
            ready: condition::holds(object, "Ready"),
            failed: of_ready("status") == "False"
                && !["DependencyNotReady", "HealthCheckCanceled"].contains(&&*reason),
            reason,
            message: of_ready("message"),
            applied: text("/status/lastAppliedRevision"),
            attempted: text("/status/lastAttemptedRevision"),
        }
    }
}

fn key_of(object: &Object) -> Key {
    (object.namespace().to_owned(), object.name().to_owned())
}

fn uid_of(object: &Object) -> String {
    object.at("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
}
