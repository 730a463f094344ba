//! One turn of Flux' kustomize-controller, over any cluster: build, apply in stages, prune, wait
//! for health.
//!
//! Deciding is pure ([`plan`]); doing is a small loop over a [`Cluster`], which an embedder
//! implements with a Kubernetes client and the demo with plain processes.

mod dependency;
mod notice;
mod order;
mod outcome;
mod plan;
mod post_build;
mod status;
mod turn;
mod wait;

use std::ops::ControlFlow;

pub use dependency::{Dependency, waits_for};
pub use notice::Notice;
pub use outcome::{Action, Change, Condition, Healthy, Outcome, Status};
pub use plan::{Plan, plan};
pub use post_build::Find;
pub(crate) use post_build::missing;
pub use status::blocked;

use crate::error::chain;
use crate::flux::Kustomization;
use crate::status::Health;
use crate::{BoxError, Error, Object, ObjectId, Tree, kustomize};

/// Label of every object: the name of the Kustomization that it belongs to.
pub const OWNER_NAME: &str = "kustomize.toolkit.fluxcd.io/name";

/// Label of every object: the namespace of the Kustomization that it belongs to.
pub const OWNER_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";

/// Where objects live.
pub trait Cluster {
    /// What the status of this Kustomization lists as its inventory; empty before its first
    /// success.
    fn inventory(&self, owner: &Kustomization) -> Result<Vec<ObjectId>, BoxError>;
    /// The object as it was applied last, with the labels and annotations that it has now.
    fn find(&self, id: &ObjectId) -> Result<Option<Object>, BoxError>;
    /// Whether the API server would take the object: a dry run.
    fn check(&self, object: &Object) -> Result<(), Refusal>;
    /// Makes the object, or makes it as given.
    fn apply(&mut self, object: &Object) -> Result<(), BoxError>;
    /// Removes the object; one that is gone already is no error.
    fn delete(&mut self, id: &ObjectId) -> Result<(), BoxError>;
    /// How the object is doing; see [`crate::status::health`].
    fn health(&self, id: &ObjectId) -> Health;
}

/// Why an API server does not take an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason as its status has it: `Invalid`, `NotFound`, `Forbidden`, …; empty for none.
    pub reason: &'static str,
    /// What it says.
    pub message: String,
}

impl Refusal {
    /// A refusal for a reason.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// What Flux makes of it.
    fn told(&self, id: &ObjectId) -> String {
        let message = &self.message;
        match (self.reason, id.namespace.as_str()) {
            ("NotFound", "") => format!("{id} namespace not specified: {message}"),
            ("NotFound", _) => format!("{id} not found: {message}"),
            ("", _) => format!("{id} dry-run failed: {message}"),
            (reason, _) => format!("{id} dry-run failed ({reason}): {message}"),
        }
    }
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
    /// These definitions are not there yet, and what needs them waits; answers as the former.
    Defining(&'a [(ObjectId, Health)]),
    /// The wait is over, and these were not healthy. Flux says of each how it is and never why;
    /// the reasons are here.
    Unhealthy(&'a [(ObjectId, Health)]),
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
    turn::run(kustomization, artifact, cluster, on)
}

/// Builds what a Kustomization asks for: its folder with its own fields laid over, the values of
/// variables, owner labels, and common metadata.
///
/// `find` finds the objects of the cluster that values come from. A folder without any YAML is no
/// error, and gives nothing.
pub fn build(
    kustomization: &Kustomization,
    tree: &Tree,
    find: &Find<'_>,
) -> Result<Vec<Object>, Error> {
    let mut objects = kustomized(kustomization, tree, find)?;
    own(kustomization, &mut objects);
    Ok(objects)
}

/// What the files say, before anything of Flux is added.
fn kustomized(
    kustomization: &Kustomization,
    tree: &Tree,
    find: &Find<'_>,
) -> Result<Vec<Object>, Error> {
    if is_bare(kustomization, tree) {
        return Ok(Vec::new());
    }
    let mut objects = kustomize::build(tree, &kustomization.path, &kustomization.overlay)?;
    post_build::run(kustomization, &mut objects, find)?;
    Ok(objects)
}

/// Whether the folder is there and holds no YAML.
fn is_bare(kustomization: &Kustomization, tree: &Tree) -> bool {
    let path = &kustomization.path;
    let is_source = |path: &String| {
        path.ends_with(".yaml") || path.ends_with(".yml") || path.ends_with("Kustomization")
    };
    tree.has_folder(path) && !tree.paths_below(path).iter().any(is_source)
}

/// Marks objects as those of a Kustomization. What it adds to all of them comes last, as in Flux.
fn own(kustomization: &Kustomization, objects: &mut [Object]) {
    for object in objects {
        object.set_label(OWNER_NAME, &kustomization.name);
        object.set_label(OWNER_NAMESPACE, &kustomization.namespace);
        kustomization.common_labels.iter().for_each(|(key, value)| object.set_label(key, value));
        kustomization
            .common_annotations
            .iter()
            .for_each(|(key, value)| object.set_annotation(key, value));
    }
}
