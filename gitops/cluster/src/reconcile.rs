//! One reconciliation of a Flux Kustomization, with the store as the cluster that
//! `gitops::reconcile` works on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use gitops::flux::Kustomization;
use gitops::reconcile::{
    self, Action, Change, Cluster, Event, OWNER_NAME, OWNER_NAMESPACE, Outcome, Refusal,
};
use gitops::status::{self, Health};
use gitops::{BoxError, Object, ObjectId};
use serde_json::Value;

use crate::changes::Changes;
use crate::condition::{self, Condition};
use crate::error::chain;
use crate::event::Events;
use crate::kubelet::Kubelet;
use crate::source::Artifact;
use crate::spec::{self, Deployment, selects};
use crate::store::Store;
use crate::{Result, TICK, admission, notice};

/// What a reconciliation works with; it runs in a thread of its own, since it waits for health.
pub(crate) struct Run {
    pub(crate) id: ObjectId,
    pub(crate) kustomization: Kustomization,
    pub(crate) artifact: Arc<Artifact>,
    /// `reconcile.fluxcd.io/requestedAt`, as far as this run answers it.
    pub(crate) requested_at: Option<String>,
    /// Whether this is another revision or spec than last time, and not only another look.
    pub(crate) is_news: bool,
    pub(crate) store: Arc<Store>,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) events: Events,
    /// Ends the wait for health.
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// How a reconciliation ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) ready: bool,
    /// What the cluster holds now, if all of it was applied: to notice when it no longer does.
    pub(crate) applied: Option<Vec<Object>>,
}

impl Run {
    pub(crate) fn reconcile(self) -> Ended {
        if self.is_news {
            self.announce();
        }
        let find = |id: &ObjectId| Ok(self.store.find_applied(id));
        let desired = reconcile::build(&self.kustomization, &self.artifact.tree, &find);
        let desired = desired.unwrap_or_default();
        let mut cluster =
            Stored { store: &self.store, kubelet: &self.kubelet, events: &self.events };
        let artifact =
            reconcile::Artifact { revision: &self.artifact.revision, tree: &self.artifact.tree };
        let mut outcome =
            reconcile::reconcile(&self.kustomization, artifact, &mut cluster, &mut |event| {
                self.hear(&event, &desired)
            });
        outcome.origin_revision.clone_from(&self.artifact.origin);
        if self.is_news || !outcome.changes.is_empty() || !outcome.is_ready() {
            self.say(&format!("{}: {}", outcome.ready.reason, outcome.ready.message));
        }
        if let Err(error) = self.record(&outcome) {
            self.say(&format!("its status is lost: {}", chain(&error)));
        }
        let ready = outcome.is_ready();
        let applied = ready || outcome.ready.reason.starts_with("HealthCheck");
        Ended { ready, applied: applied.then_some(desired) }
    }

    /// Says that the former verdict no longer holds.
    fn announce(&self) {
        let Some(object) = self.store.find(&self.id) else { return };
        let progressing =
            Condition::new("Ready", "Unknown", "Progressing", "Reconciliation in progress");
        let conditions = condition::list(object.value(), vec![progressing]);
        let noted =
            self.store.change(&self.id, |object| object["status"]["conditions"] = conditions);
        if let Err(error) = noted {
            self.say(&format!("its status is lost: {}", chain(&error)));
        }
    }

    fn hear(&self, event: &Event<'_>, desired: &[Object]) -> ControlFlow<()> {
        match event {
            Event::Changed(change) => self.say(&format!("{} {}", change.id, change.action.word())),
            Event::Unhealthy(objects) => self.tell_reasons(objects),
            Event::Waiting(_) => {
                self.changes.wait(self.changes.count(), TICK);
                // What was deleted meanwhile will not become healthy: the next reconciliation
                // brings it back.
                if has_drifted(&self.store, &self.kustomization, desired) {
                    return ControlFlow::Break(());
                }
            }
            _ => {}
        }
        match self.cancelled.load(Ordering::Acquire) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The reasons that no condition has.
    fn tell_reasons(&self, objects: &[(ObjectId, Health)]) {
        for (id, health) in objects.iter().filter(|(_, health)| !health.reason().is_empty()) {
            self.say(&format!("{id} is not healthy: {}", health.reason()));
        }
    }

    fn record(&self, outcome: &Outcome) -> Result<()> {
        let Some(object) = self.store.find(&self.id) else { return Ok(()) };
        for notice in outcome.notices(object.at("/status"), self.kustomization.interval) {
            notice::of_kustomization(&self.store, &object, &notice)?;
        }
        self.store.change(&self.id, |object| {
            let generation = object["metadata"]["generation"].as_u64().unwrap_or(1);
            let mut status = outcome.status(generation, object.get("status"), SystemTime::now());
            if let Some(at) = &self.requested_at {
                status["lastHandledReconcileAt"] = at.as_str().into();
            }
            object["status"] = status;
        })
    }

    fn say(&self, what: &str) {
        let Kustomization { namespace, name, .. } = &self.kustomization;
        self.events.tell(format!("kustomization {namespace}/{name}"), what);
    }
}

/// Whether the cluster no longer holds what the last reconciliation left there.
pub(crate) fn has_drifted(
    store: &Store,
    kustomization: &Kustomization,
    desired: &[Object],
) -> bool {
    let mut live: Vec<Object> =
        desired.iter().filter_map(|object| store.find_applied(&object.id())).collect();
    let stale = inventory(store, kustomization).into_iter();
    live.extend(
        stale
            .filter(|id| !desired.iter().any(|object| object.id().is_same(id)))
            .filter_map(|id| store.find_applied(&id))
            .filter(|object| is_owned(object, kustomization)),
    );
    let plan = reconcile::plan(desired, &live);
    !plan.create.is_empty()
        || !plan.update.is_empty()
        || kustomization.prune && !plan.prune.is_empty()
}

/// Deletes all that a Kustomization, itself deleted, had applied, as its last status lists it;
/// returns what that was.
pub(crate) fn delete_owned(
    store: &Store,
    kustomization: &Kustomization,
    status: &Value,
) -> Vec<Change> {
    let live: Vec<Object> = listed(status)
        .iter()
        .filter_map(|id| store.find_applied(id))
        .filter(|object| is_owned(object, kustomization))
        .collect();
    let gone = reconcile::plan(&[], &live).prune;
    for id in &gone {
        store.delete(id);
    }
    gone.into_iter().map(|id| Change { id, action: Action::Deleted }).collect()
}

fn is_owned(object: &Object, owner: &Kustomization) -> bool {
    object.label(OWNER_NAME) == Some(&owner.name)
        && object.label(OWNER_NAMESPACE) == Some(&owner.namespace)
}

/// What the status of a Kustomization lists as its own.
fn inventory(store: &Store, kustomization: &Kustomization) -> Vec<ObjectId> {
    let id = ObjectId {
        group: "kustomize.toolkit.fluxcd.io".to_owned(),
        version: "v1".to_owned(),
        kind: "Kustomization".to_owned(),
        namespace: kustomization.namespace.clone(),
        name: kustomization.name.clone(),
    };
    let object = store.find(&id);
    object.and_then(|object| object.at("/status").map(listed)).unwrap_or_default()
}

fn listed(status: &Value) -> Vec<ObjectId> {
    let entries = status["inventory"]["entries"].as_array().into_iter().flatten();
    let id = |it: &Value| ObjectId::from_inventory(it["id"].as_str()?, it["v"].as_str()?);
    entries.filter_map(id).collect()
}

/// The store as a reconciliation sees it.
struct Stored<'a> {
    store: &'a Store,
    kubelet: &'a Kubelet,
    events: &'a Events,
}

impl Cluster for Stored<'_> {
    fn inventory(&self, owner: &Kustomization) -> Result<Vec<ObjectId>, BoxError> {
        Ok(inventory(self.store, owner))
    }

    fn find(&self, id: &ObjectId) -> Result<Option<Object>, BoxError> {
        Ok(self.store.find_applied(id))
    }

    fn check(&self, object: &Object) -> Result<(), Refusal> {
        admission::check(object, self.store)
    }

    fn apply(&mut self, object: &Object) -> Result<(), BoxError> {
        let is_new = self.store.find(&object.id()).is_none();
        if let Some(notice) = admission::notice(object).filter(|_| is_new) {
            self.events.tell(object.id().to_string(), notice);
        }
        self.store.apply(object)?;
        if object.kind() == "CustomResourceDefinition" {
            self.establish(&object.id())?;
        }
        Ok(())
    }

    fn delete(&mut self, id: &ObjectId) -> Result<(), BoxError> {
        self.store.delete(id);
        Ok(())
    }

    fn health(&self, id: &ObjectId) -> Health {
        match self.store.find(id) {
            None => Health::NotFound,
            // Until its controller has seen what was applied, its pods are those of what was there
            // before: a release that failed is not held against its repair.
            Some(object) if object.kind() == "Deployment" && is_seen(&object) => {
                status::with_pods(status::health(&object), &self.pods_of(&object))
            }
            Some(object) => status::health(&object),
        }
    }
}

/// Whether the controller of an object has looked at its present generation.
fn is_seen(object: &Object) -> bool {
    object.at("/status/observedGeneration") == object.at("/metadata/generation")
}

impl Stored<'_> {
    /// A definition holds as soon as it is there.
    fn establish(&self, id: &ObjectId) -> Result<()> {
        self.store.change(id, |definition| {
            let conditions = vec![
                Condition::new("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
                Condition::new(
                    "Established",
                    "True",
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                ),
            ];
            let conditions = condition::list(definition, conditions);
            definition["status"]["conditions"] = conditions;
        })
    }

    fn pods_of(&self, deployment: &Object) -> Vec<Object> {
        let Ok(read) = spec::read::<Deployment>(deployment.value()) else { return Vec::new() };
        let pods = self.kubelet.pods();
        let own = pods.iter().filter(|pod| {
            pod.metadata.namespace == read.metadata.namespace
                && selects(&read.spec.selector.match_labels, &pod.metadata.labels)
        });
        own.filter_map(|pod| Object::from_value(pod.object()).ok()).collect()
    }
}
