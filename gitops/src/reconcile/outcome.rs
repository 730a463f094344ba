//! What came of a reconciliation.

use std::time::Duration;

use crate::ObjectId;

/// What came of a reconciliation, in the words of Flux' kustomize-controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The condition `Ready`.
    pub ready: Condition,
    /// The condition `Healthy`.
    pub healthy: Healthy,
    /// The step that it got to, in a sentence; the condition `Reconciling` of one that failed.
    pub progress: String,
    /// The revision of the source.
    pub revision: String,
    /// The same, where there was something to build.
    pub attempted_revision: Option<String>,
    /// The same, where all was applied and healthy.
    pub applied_revision: Option<String>,
    /// Where the source says its artifact came from: `org.opencontainers.image.revision` of what was
    /// pushed to a registry. The cluster's side knows it.
    pub origin_revision: Option<String>,
    /// What the cluster holds for this Kustomization now; none where that is as it was, because not
    /// all of it could be applied.
    pub inventory: Option<Vec<ObjectId>>,
    /// What changed in the cluster.
    pub changes: Vec<Change>,
    /// `sha256:…` of what was built, for the history.
    pub digest: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Whether all went well.
    pub fn is_ready(&self) -> bool {
        self.ready.status == Status::True
    }
}

/// What becomes of the condition `Healthy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthy {
    /// It stays as it is, since nobody got so far as to look.
    NotReached,
    /// It goes: there is nothing to look at.
    NotAsked,
    /// It says this.
    Told(Condition),
}

/// One change of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which object.
    pub id: ObjectId,
    /// What happened to it.
    pub action: Action,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// It was changed.
    Configured,
    /// It was removed, since it left the source.
    Deleted,
}

impl Action {
    /// The word in Flux' events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Deleted => "deleted",
        }
    }
}

/// A condition of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub status: Status,
    /// Why, in one word: `ReconciliationSucceeded`, `BuildFailed`, …
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// The word as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
