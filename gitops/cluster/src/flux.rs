//! The kustomize-controller's part: each Flux Kustomization is reconciled when its source, its spec
//! or its turn says so, and as soon as the cluster drifts from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use gitops::Object;
use gitops::flux::{Kustomization, SourceRef};
use gitops::reconcile::{Condition, Dependency, Notice, Status, blocked, waits_for};
use serde_json::Value;

use crate::attempt::{Attempt, Trigger};
use crate::changes::{Changes, locked};
use crate::clock::Moment;
use crate::error::chain;
use crate::event::Events;
use crate::kubelet::Kubelet;
use crate::reconcile::{self, Run};
use crate::registries::Registries;
use crate::source::{Artifact, Sources};
use crate::store::Store;
use crate::{Result, condition, notice};

const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// With this annotation somebody asks for a look at once.
pub(crate) const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

/// How soon Flux says that it looks again for a source or a dependency; here that is at once.
const AGAIN: &str = "30s";

/// Namespace and name.
type Key = (String, String);

/// Reconciles all Kustomizations.
pub(crate) struct Flux {
    store: Arc<Store>,
    kubelet: Arc<Kubelet>,
    sources: Arc<Sources>,
    registries: Option<Arc<Registries>>,
    changes: Arc<Changes>,
    events: Events,
    attempts: Mutex<BTreeMap<Key, Attempt>>,
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
        kubelet: Arc<Kubelet>,
        sources: Arc<Sources>,
        registries: Option<Arc<Registries>>,
        changes: Arc<Changes>,
        events: Events,
    ) -> Self {
        Self { store, kubelet, sources, registries, changes, events, attempts: Mutex::default() }
    }

    /// One look at every Kustomization; says when the next one is due, whatever changes until then.
    pub(crate) fn sync(&self, now: Moment) -> Result<Option<Moment>> {
        let objects = self.store.list(GROUP, "Kustomization");
        let mut attempts = locked(&self.attempts);
        self.finalize(&objects, &mut attempts);
        let mut due = None;
        for object in &objects {
            due = self.look(object, &mut attempts, now)?.into_iter().chain(due).min();
        }
        Ok(due)
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
            let is_it = |it: &&Object| key_of(it) == *key && attempt.is_of(it);
            if let Some(object) = objects.iter().find(is_it) {
                attempt.object.clone_from(object);
                return true;
            }
            attempt.cancelled.store(true, Ordering::Release);
            if attempt.is_running() {
                return true;
            }
            let read = Kustomization::read(&attempt.object).ok().flatten();
            let prunes = read.filter(|it| it.prune && !it.suspend);
            if let (Some(read), Some(status)) = (prunes, attempt.object.at("/status")) {
                let subject = format!("kustomization {}/{}", key.0, key.1);
                self.events.tell(subject, "deleted, with all that it had applied");
                let gone = reconcile::delete_owned(&self.store, &read, status);
                if let Some(notice) = Notice::finalized("ReconciliationSucceeded", &gone) {
                    let _ = notice::of_kustomization(&self.store, &attempt.object, &notice);
                }
            }
            false
        });
    }

    /// One look at a Kustomization; when it is due again, unless something changes before.
    fn look(
        &self,
        object: &Object,
        attempts: &mut BTreeMap<Key, Attempt>,
        now: Moment,
    ) -> Result<Option<Moment>> {
        let kustomization = match Kustomization::read(object) {
            Ok(Some(read)) if !read.suspend => read,
            Ok(_) => return Ok(None),
            Err(error) => {
                let why = chain(&error);
                return self.report(object, "ReconciliationFailed", why).map(|()| None);
            }
        };
        // What is under way goes on to its end, whatever is newer: so does Flux, unless it is told
        // otherwise (CancelHealthCheckOnNewRevision).
        if attempts.get_mut(&key_of(object)).is_some_and(Attempt::is_running) {
            return Ok(None);
        }
        let artifact = match self.artifact(&kustomization) {
            Ok(artifact) => artifact,
            Err(why) => return self.report(object, "ArtifactFailed", why).map(|()| None),
        };
        let find = |namespace: &str, name: &str| {
            self.dependency(namespace, name, &kustomization, &artifact)
        };
        if let Some(why) = waits_for(&kustomization, &find) {
            return self.block(object, &why).map(|()| None);
        }
        let trigger = Trigger::of(object, &artifact);
        match attempts.get(&key_of(object)) {
            Some(attempt) if !self.is_due(&kustomization, attempt, &trigger, now) => {
                return Ok(Some(attempt.next_look(&kustomization, now)));
            }
            former => {
                if let (Some(account), None) = (&kustomization.account, former) {
                    let subject = format!("kustomization {}/{}", object.namespace(), object.name());
                    let message = format!(
                        "applied with all rights: those of its serviceAccountName {account} are not enforced here"
                    );
                    self.events.tell(subject, message);
                }
                let attempt = self.begin(object, kustomization, artifact, trigger, former)?;
                attempts.insert(key_of(object), attempt);
            }
        }
        Ok(None)
    }

    fn artifact(&self, kustomization: &Kustomization) -> Result<Arc<Artifact>, String> {
        let source = &kustomization.source;
        let (kind, namespace, name) = (&source.kind, &source.namespace, &source.name);
        let artifact = match (kind.as_str(), &self.registries) {
            ("GitRepository", _) => self.sources.artifact(namespace, name),
            ("OCIRepository", Some(registries)) => registries.artifact(namespace, name),
            _ => return Err(format!("this stand-in has no source controller for {kind}")),
        };
        let objects = self.store.list("source.toolkit.fluxcd.io", kind);
        let is_it = |it: &Object| it.namespace() == source.namespace && it.name() == source.name;
        if !objects.iter().any(is_it) {
            return Err(format!("{kind}.source.toolkit.fluxcd.io \"{name}\" not found"));
        }
        artifact.ok_or_else(|| format!("Source artifact not found, retrying in {AGAIN}"))
    }

    /// How a Kustomization is that another one depends on.
    fn dependency(
        &self,
        namespace: &str,
        name: &str,
        dependent: &Kustomization,
        artifact: &Artifact,
    ) -> Dependency {
        let objects = self.store.list(GROUP, "Kustomization");
        let Some(object) =
            objects.iter().find(|it| it.namespace() == namespace && it.name() == name)
        else {
            return Dependency::Absent;
        };
        let is_seen = object.at("/status/observedGeneration") == object.at("/metadata/generation");
        let is_ready =
            condition::find(object.value(), "Ready").is_some_and(|it| it["status"] == "True");
        if !is_seen || !is_ready {
            return Dependency::NotReady;
        }
        let source = Kustomization::read(object).ok().flatten().map(|read| read.source);
        let is_shared = source.is_some_and(|it| {
            let key = |it: &SourceRef| (it.kind.clone(), it.namespace.clone(), it.name.clone());
            key(&it) == key(&dependent.source)
        });
        let applied = object.at("/status/lastAppliedRevision").and_then(Value::as_str);
        match is_shared && applied != Some(&artifact.revision) {
            true => Dependency::Outdated,
            false => Dependency::Ready,
        }
    }

    fn is_due(
        &self,
        kustomization: &Kustomization,
        attempt: &Attempt,
        trigger: &Trigger,
        now: Moment,
    ) -> bool {
        let drifted =
            |applied: &Vec<Object>| reconcile::has_drifted(&self.store, kustomization, applied);
        attempt.trigger != *trigger
            || now >= attempt.turn(kustomization)
            || now >= attempt.calm() && attempt.ended.applied.as_ref().is_some_and(drifted)
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
        let run = Run {
            id: object.id(),
            kustomization,
            artifact,
            requested_at: trigger.requested_at.clone(),
            is_news: former.is_none_or(|former| former.trigger != trigger),
            store: Arc::clone(&self.store),
            kubelet: Arc::clone(&self.kubelet),
            changes: Arc::clone(&self.changes),
            events: self.events.clone(),
            cancelled: Arc::clone(&cancelled),
        };
        let work = move || run.reconcile();
        Ok(Attempt::begin(object, trigger, &self.changes, cancelled, work)?)
    }

    fn report(&self, object: &Object, reason: &'static str, message: String) -> Result<()> {
        self.block(object, &Condition { status: Status::False, reason, message })
    }

    fn block(&self, object: &Object, why: &Condition) -> Result<()> {
        let known = condition::find(object.value(), "Ready");
        let is_new = known.is_none_or(|it| it["reason"] != why.reason);
        if why.reason == "DependencyNotReady" && is_new {
            let told = format!("Dependencies do not meet ready condition, retrying in {AGAIN}");
            notice::of_kustomization(&self.store, object, &Notice::normal(why.reason, told))?;
        }
        self.store.change(&object.id(), |object| {
            let generation = object["metadata"]["generation"].as_u64().unwrap_or(1);
            let status = blocked(why, generation, object.get("status"), SystemTime::now());
            object["status"] = status;
        })
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
