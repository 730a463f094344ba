//! One turn of Flux' kustomize-controller, over any cluster: build, plan, apply, prune, wait for
//! health.
//!
//! Deciding is pure ([`plan`]); doing is a small loop over a [`Cluster`], which an embedder
//! implements with a Kubernetes client and the demo with plain processes.

mod order;
mod outcome;
mod plan;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub use outcome::{Action, Change, Condition, Outcome, Status};
pub use plan::{Plan, plan};

use crate::error::chain;
use crate::flux::{Kustomization, format_duration};
use crate::status::Health;
use crate::{BoxError, Error, Object, ObjectId, Tree, kustomize};

/// Label of every object: the name of the Kustomization that it belongs to.
pub const OWNER_NAME: &str = "kustomize.toolkit.fluxcd.io/name";

/// Label of every object: the namespace of the Kustomization that it belongs to.
pub const OWNER_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";

/// The least time between two looks at what is not healthy yet, so that no listener makes this
/// spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Where objects live.
pub trait Cluster {
    /// The objects that carry the owner labels of this Kustomization, as they were applied last.
    fn live(&self, owner: &Kustomization) -> Result<Vec<Object>, BoxError>;
    /// Makes the object, or makes it as given.
    fn apply(&mut self, object: &Object) -> Result<(), BoxError>;
    /// Removes the object; one that is gone already is no error.
    fn delete(&mut self, id: &ObjectId) -> Result<(), BoxError>;
    /// How the object is doing; see [`crate::status::health`].
    fn health(&self, id: &ObjectId) -> Health;
}

/// What the source has fetched: a revision `main@sha1:…` and its files.
#[derive(Clone, Copy, Debug)]
pub struct Artifact<'a> {
    /// The revision.
    pub revision: &'a str,
    /// The files.
    pub tree: &'a Tree,
}

/// What happens during a reconciliation.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The build made so many objects.
    Built(usize),
    /// An object changed.
    Changed(&'a Change),
    /// These objects are not healthy yet. Whoever listens may wait here until something changed,
    /// and answers `Break` to end the wait; the next look comes after a short pause in any case.
    Waiting(&'a [(ObjectId, Health)]),
}

/// Brings the cluster to what the artifact says, and tells what came of it. Nothing that goes wrong
/// on the way is lost: it is in the outcome.
///
/// When to do this is for the caller to say: `suspend`, the intervals and [`waits_for`] are not
/// looked at here.
pub fn reconcile(
    kustomization: &Kustomization,
    artifact: Artifact<'_>,
    cluster: &mut dyn Cluster,
    on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Outcome {
    let mut reconciliation = Reconciliation {
        kustomization,
        artifact,
        cluster,
        on,
        inventory: Vec::new(),
        changes: Vec::new(),
    };
    let (ready, applied) = match reconciliation.run() {
        Ok(()) => (
            Condition {
                status: Status::True,
                reason: "ReconciliationSucceeded",
                message: format!("Applied revision: {}", artifact.revision),
            },
            true,
        ),
        Err(failure) => (
            Condition { status: Status::False, reason: failure.reason, message: failure.message },
            false,
        ),
    };
    Outcome {
        ready,
        attempted_revision: artifact.revision.to_owned(),
        applied_revision: applied.then(|| artifact.revision.to_owned()),
        inventory: reconciliation.inventory,
        changes: reconciliation.changes,
    }
}

/// Tells whether a Kustomization has to wait for others (`dependsOn`), which `is_ready` judges by
/// namespace and name. None when it can go on.
pub fn waits_for(
    kustomization: &Kustomization,
    is_ready: &dyn Fn(&str, &str) -> bool,
) -> Option<Condition> {
    let (namespace, name) =
        kustomization.depends_on.iter().find(|(namespace, name)| !is_ready(namespace, name))?;
    Some(Condition {
        status: Status::False,
        reason: "DependencyNotReady",
        message: format!("dependency '{namespace}/{name}' is not ready"),
    })
}

/// Builds what a Kustomization asks for: its folder with its own fields laid over, common metadata,
/// and owner labels.
pub fn build(kustomization: &Kustomization, tree: &Tree) -> Result<Vec<Object>, Error> {
    let mut objects = kustomize::build(tree, &kustomization.path, &kustomization.overlay)?;
    for object in &mut objects {
        kustomization.common_labels.iter().for_each(|(key, value)| object.set_label(key, value));
        kustomization
            .common_annotations
            .iter()
            .for_each(|(key, value)| object.set_annotation(key, value));
        object.set_label(OWNER_NAME, &kustomization.name);
        object.set_label(OWNER_NAMESPACE, &kustomization.namespace);
    }
    Ok(objects)
}

/// Why a reconciliation ended.
struct Failure {
    reason: &'static str,
    message: String,
}

impl Failure {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

struct Reconciliation<'a> {
    kustomization: &'a Kustomization,
    artifact: Artifact<'a>,
    cluster: &'a mut dyn Cluster,
    on: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    inventory: Vec<ObjectId>,
    changes: Vec<Change>,
}

impl Reconciliation<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let live = self
            .cluster
            .live(self.kustomization)
            .map_err(|error| Failure::new("ReconciliationFailed", chain(&*error)))?;
        self.inventory = live.iter().map(Object::id).collect();
        let desired = self.build()?;
        let _ = (self.on)(Event::Built(desired.len()));
        let plan = plan(&desired, &live);
        self.apply(&plan)?;
        self.prune(&plan)?;
        let watched = match self.kustomization.wait {
            true => desired.iter().map(Object::id).collect(),
            false => self.kustomization.health_checks.clone(),
        };
        self.wait(watched)
    }

    fn build(&self) -> Result<Vec<Object>, Failure> {
        let path = &self.kustomization.path;
        if !self.artifact.tree.has_folder(path) {
            return Err(Failure::new(
                "ArtifactFailed",
                format!("kustomization path not found: stat /{path}: no such file or directory"),
            ));
        }
        build(self.kustomization, self.artifact.tree)
            .map_err(|error| Failure::new("BuildFailed", chain(&error)))
    }

    /// Definitions first, each stage in order; the first failure ends it.
    fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let objects = plan.apply();
        let (definitions, rest): (Vec<&Object>, Vec<&Object>) =
            objects.into_iter().partition(|object| order::is_definition(&object.id()));
        for object in definitions.into_iter().chain(rest) {
            let id = object.id();
            self.cluster.apply(object).map_err(|error| {
                Failure::new(
                    "ReconciliationFailed",
                    format!("{id} not applied: {}", chain(&*error)),
                )
            })?;
            let created = plan.create.iter().any(|other| other.id() == id);
            if !self.inventory.iter().any(|other| other.is_same(&id)) {
                self.inventory.push(id.clone());
            }
            self.changed(id, if created { Action::Created } else { Action::Configured });
        }
        Ok(())
    }

    /// Deletes what left the source; what could not be deleted stays in the inventory and is tried
    /// again.
    fn prune(&mut self, plan: &Plan) -> Result<(), Failure> {
        let mut failures = Vec::new();
        for id in plan.prune.iter().filter(|_| self.kustomization.prune).collect::<Vec<_>>() {
            match self.cluster.delete(id) {
                Ok(()) => {
                    self.inventory.retain(|other| !other.is_same(id));
                    self.changed(id.clone(), Action::Deleted);
                }
                Err(error) => failures.push(format!("{id} not deleted: {}", chain(&*error))),
            }
        }
        match failures.is_empty() {
            true => Ok(()),
            false => Err(Failure::new("PruneFailed", failures.join("; "))),
        }
    }

    /// Looks until all are current, one has failed for good, or the time is over.
    fn wait(&mut self, mut watched: Vec<ObjectId>) -> Result<(), Failure> {
        watched.sort_by(order::compare);
        let start = Instant::now();
        loop {
            let health: Vec<_> = watched
                .iter()
                .map(|id| (id.clone(), self.cluster.health(id)))
                .filter(|(_, health)| !health.is_current())
                .collect();
            if health.is_empty() {
                return Ok(());
            }
            let stalled: Vec<_> = health
                .iter()
                .filter(|(_, health)| matches!(health, Health::Failed(_)))
                .cloned()
                .collect();
            if !stalled.is_empty() {
                return Err(unhealthy(
                    start.elapsed(),
                    "failed early due to stalled resources",
                    &stalled,
                ));
            }
            if start.elapsed() >= self.kustomization.timeout {
                return Err(unhealthy(start.elapsed(), "timeout waiting for", &health));
            }
            let next = Instant::now() + PAUSE;
            if (self.on)(Event::Waiting(&health)).is_break() {
                return Err(Failure::new(
                    "HealthCheckCanceled",
                    format!("health check canceled after {}", rounded(start.elapsed())),
                ));
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn changed(&mut self, id: ObjectId, action: Action) {
        let change = Change { id, action };
        let _ = (self.on)(Event::Changed(&change));
        self.changes.push(change);
    }
}

fn unhealthy(elapsed: Duration, what: &str, objects: &[(ObjectId, Health)]) -> Failure {
    let reason = |health: &Health| match health {
        Health::Current => String::new(),
        Health::InProgress(reason) | Health::Failed(reason) => format!(" ({reason})"),
    };
    let list: Vec<_> = objects
        .iter()
        .map(|(id, health)| format!("{id} status: '{}'{}", health.word(), reason(health)))
        .collect();
    Failure::new(
        "HealthCheckFailed",
        format!("health check failed after {}: {what}: [{}]", rounded(elapsed), list.join(", ")),
    )
}

fn rounded(elapsed: Duration) -> String {
    format_duration(Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
}
