//! The steps of one reconciliation.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::order::{self, Stage};
use super::outcome::{Action, Change, Condition, Healthy, Outcome, Status};
use super::{
    Artifact, Cluster, Event, OWNER_NAME, OWNER_NAMESPACE, chain, kustomized, own, plan, wait,
};
use crate::flux::{Kustomization, format_duration};
use crate::{Error, Object, ObjectId, Tree, kustomize, tree};

/// How long Flux waits for definitions before it applies what needs them.
const DEFINED_WITHIN: Duration = Duration::from_secs(60);

/// Why a reconciliation ended.
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

pub(super) fn run(
    kustomization: &Kustomization,
    artifact: Artifact<'_>,
    cluster: &mut dyn Cluster,
    on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Outcome {
    let revision = artifact.revision.to_owned();
    let mut turn = Turn {
        kustomization,
        artifact,
        cluster,
        on,
        outcome: Outcome {
            ready: Condition { status: Status::Unknown, reason: "", message: String::new() },
            healthy: Healthy::NotReached,
            progress: String::new(),
            attempted_revision: None,
            applied_revision: None,
            origin_revision: None,
            revision,
            inventory: None,
            changes: Vec::new(),
            digest: None,
            took: Duration::ZERO,
        },
    };
    let start = Instant::now();
    turn.outcome.ready = match turn.run() {
        Ok(()) => {
            let revision = turn.outcome.revision.clone();
            turn.outcome.applied_revision = Some(revision.clone());
            Condition {
                status: Status::True,
                reason: "ReconciliationSucceeded",
                message: format!("Applied revision: {revision}"),
            }
        }
        Err(failure) => {
            Condition { status: Status::False, reason: failure.reason, message: failure.message }
        }
    };
    turn.outcome.took = start.elapsed();
    turn.outcome
}

pub(super) struct Turn<'a> {
    pub(super) kustomization: &'a Kustomization,
    artifact: Artifact<'a>,
    pub(super) cluster: &'a mut dyn Cluster,
    pub(super) on: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    pub(super) outcome: Outcome,
}

impl Turn<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        self.progress("Fetching manifests");
        let before = self.cluster.inventory(self.kustomization).map_err(|error| failed(&*error))?;
        let desired = self.build()?;
        let _ = (self.on)(Event::Built(desired.len()));
        self.progress("Detecting drift");
        let (applied, skipped) = self.apply(&desired)?;
        let stale: Vec<ObjectId> =
            before.into_iter().filter(|id| !applied.iter().any(|it| it.is_same(id))).collect();
        self.outcome.inventory = Some(applied.clone());
        self.prune(&stale)?;
        let watched = match self.kustomization.wait {
            true => applied.into_iter().filter(|id| !skipped.contains(id)).collect(),
            false => self.kustomization.health_checks.clone(),
        };
        wait::for_health(self, watched)
    }

    pub(super) fn progress(&mut self, what: &str) {
        self.outcome.progress = format!(
            "{what} for revision {} with a timeout of {}",
            self.artifact.revision,
            format_duration(self.kustomization.timeout)
        );
    }

    fn build(&mut self) -> Result<Vec<Object>, Failure> {
        let (path, tree) = (&self.kustomization.path, self.artifact.tree);
        let is_file = tree.get(path).is_some();
        if !is_file && !tree.has_folder(path) && !path.is_empty() {
            return Err(Failure::new(
                "ArtifactFailed",
                format!("kustomization path not found: stat /{path}: no such file or directory"),
            ));
        }
        self.outcome.attempted_revision = Some(self.artifact.revision.to_owned());
        self.progress("Building manifests");
        let failure = |error| Failure::new("BuildFailed", error);
        if is_file {
            let file = format!("/{path}/kustomization.yaml");
            return Err(failure(format!(
                "open {file}: not a directory remove {file}: not a directory"
            )));
        }
        let mut objects = kustomized(self.kustomization, tree, &|id| self.cluster.find(id))
            .map_err(|error| failure(self.told(&error)))?;
        let mut digest = Sha256::new();
        digest.update(Object::to_yaml_all(&objects));
        self.outcome.digest = Some(format!("sha256:{}", hex(&digest.finalize())));
        own(self.kustomization, &mut objects);
        Ok(objects)
    }

    /// Flux reads the files of a folder without a kustomization before it builds them.
    fn told(&self, error: &Error) -> String {
        let why = match error {
            Error::Build { source, .. } => source,
            Error::PostBuild { .. } => return error.to_string(),
            error => error,
        };
        let (tree, folder) = (self.artifact.tree, &self.kustomization.path);
        let scanned = match has_own_file(tree, folder) {
            true => None,
            false => kustomize::generate(tree, folder).err(),
        };
        match (why, scanned) {
            (Error::File { path, source }, Some(Error::File { path: unread, .. }))
                if *path == unread =>
            {
                format!("failed to decode Kubernetes YAML from /{path}: {}", chain(source))
            }
            _ => format!("kustomize build failed: {}", chain(why)),
        }
    }

    /// Applies stage by stage; of each, nothing is applied unless the server takes all of it.
    /// Returns what is to be the inventory, and what of that was left alone.
    fn apply(&mut self, desired: &[Object]) -> Result<(Vec<ObjectId>, Vec<ObjectId>), Failure> {
        let (mut applied, mut skipped) = (Vec::new(), Vec::new());
        for stage in Stage::ALL {
            let of_stage: Vec<Object> =
                desired.iter().filter(|it| Stage::of(it) == stage).cloned().collect();
            let mut ids = self.apply_stage(&of_stage, &mut skipped)?;
            if stage != Stage::Rest {
                wait::until_there(self, &ids, DEFINED_WITHIN)
                    .map_err(|message| self.partly(message))?;
            }
            applied.append(&mut ids);
        }
        Ok((applied, skipped))
    }

    fn apply_stage(
        &mut self,
        objects: &[Object],
        skipped: &mut Vec<ObjectId>,
    ) -> Result<Vec<ObjectId>, Failure> {
        let mut live = Vec::new();
        for object in objects {
            live.extend(self.cluster.find(&object.id()).map_err(|error| failed(&*error))?);
        }
        let plan = plan(objects, &live);
        let mut checked: Vec<&Object> = objects
            .iter()
            .filter(|it| !plan.skipped.iter().any(|id| id.is_same(&it.id())))
            .collect();
        checked.sort_by(|a, b| order::compare(&a.id(), &b.id()));
        for object in checked {
            let refused = self.cluster.check(object);
            refused.map_err(|refusal| self.partly(refusal.told(&object.id())))?;
        }
        let changes: Vec<_> = plan.apply().into_iter().cloned().collect();
        let mut done = Vec::new();
        for object in &changes {
            let id = object.id();
            self.cluster
                .apply(object)
                .map_err(|error| self.partly(format!("{id} apply failed: {}", chain(&*error))))?;
            let created = plan.create.iter().any(|other| other.id() == id);
            done.push((id, if created { Action::Created } else { Action::Configured }));
        }
        for (id, action) in done {
            self.changed(id, action);
        }
        let mut ids: Vec<ObjectId> = changes.iter().map(Object::id).collect();
        ids.extend(plan.unchanged);
        ids.extend(plan.skipped.iter().cloned());
        skipped.extend(plan.skipped);
        ids.sort_by(order::compare);
        Ok(ids)
    }

    /// Flux says what of the former stages was applied below the reason why the rest was not.
    fn partly(&self, message: String) -> Failure {
        let done: String = self
            .outcome
            .changes
            .iter()
            .map(|it| format!("{} {}\n", it.id, it.action.word()))
            .collect();
        Failure::new("ReconciliationFailed", format!("{message}\n{done}"))
    }

    /// Deletes what left the source; what could not be deleted stays in the inventory and is tried
    /// again.
    fn prune(&mut self, stale: &[ObjectId]) -> Result<(), Failure> {
        if !self.kustomization.prune {
            return Ok(());
        }
        let mut live = Vec::new();
        for id in stale {
            let found = self.cluster.find(id).map_err(|error| failed(&*error))?;
            live.extend(found.filter(|object| self.owns(object)));
        }
        let mut failures = String::new();
        for id in plan(&[], &live).prune {
            match self.cluster.delete(&id) {
                Ok(()) => self.changed(id, Action::Deleted),
                Err(error) => {
                    failures += &format!("{id} delete failed: {};", chain(&*error));
                    self.outcome.inventory.get_or_insert_default().push(id);
                }
            }
        }
        match failures.is_empty() {
            true => Ok(()),
            false => Err(Failure::new("PruneFailed", format!("delete failed, errors: {failures}"))),
        }
    }

    fn owns(&self, object: &Object) -> bool {
        let Kustomization { name, namespace, .. } = self.kustomization;
        object.label(OWNER_NAME) == Some(name) && object.label(OWNER_NAMESPACE) == Some(namespace)
    }

    fn changed(&mut self, id: ObjectId, action: Action) {
        let change = Change { id, action };
        let _ = (self.on)(Event::Changed(&change));
        self.outcome.changes.push(change);
    }
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> Failure {
    Failure::new("ReconciliationFailed", chain(error))
}

/// Whether a folder says itself how it is built.
fn has_own_file(tree: &Tree, folder: &str) -> bool {
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    names.iter().any(|name| tree.get(&tree::join(folder, name)).is_some())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
