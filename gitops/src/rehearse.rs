//! What Flux would say of a repository, in its own words: each Kustomization is reconciled against a
//! cluster on paper, which takes what the schemas take and has nothing but what it was given.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::access::Access;
use crate::builds::{Build, Builds};
use crate::flux::{FluxVersion, Kustomization};
use crate::reconcile::{
    self, Artifact, Cluster as _, Condition, Dependency, Refusal, Status, waits_for,
};
use crate::schema::{schemas, validate};
use crate::status::Health;
use crate::{BoxError, Object, ObjectId, Tree};

/// What Flux would say of one of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The folder at which its cluster's Flux begins.
    pub root: String,
    /// The GitRepository or the Kustomization.
    pub object: ObjectId,
    /// The condition `Ready` that it would have.
    pub ready: Condition,
    /// Fields of its `spec` that are not done here, and could change what Flux says.
    pub beyond: Vec<&'static str>,
}

/// Says what Flux would say of each Kustomization that follows this repository, and of its sources;
/// of these only where the repository's branches are known.
///
/// The revision is a name for the tree, such as `main@sha1:…`.
pub fn rehearse(tree: &Tree, revision: &str, branches: Option<&BTreeSet<String>>) -> Vec<Said> {
    let builds = Builds::of(tree);
    let mut said: Vec<Said> = branches.map(|known| sources(&builds, known)).unwrap_or_default();
    for build in &builds.builds {
        if let Some(object) = &build.object {
            said.push(kustomization(tree, &builds, build, object, revision));
        }
    }
    said
}

fn kustomization(
    tree: &Tree,
    builds: &Builds,
    build: &Build,
    object: &Object,
    revision: &str,
) -> Said {
    let tell = |ready: Condition, beyond: Vec<&'static str>| Said {
        root: build.id.root.clone(),
        object: object.id(),
        ready,
        beyond,
    };
    let failed = |reason, message| Condition { status: Status::False, reason, message };
    let (mut read, mut beyond) = match Kustomization::read_partly(object) {
        Ok(Some(read)) => read,
        // The API server would not take it.
        Ok(None) => return tell(failed("ReconciliationFailed", String::new()), Vec::new()),
        Err(error) => {
            let message =
                refusal(object).map_or_else(|| crate::error::chain(&error), |it| it.message);
            return tell(failed("ReconciliationFailed", message), Vec::new());
        }
    };
    if let Some(why) = waits_for(&read, &|namespace, name| {
        let is_it = |build: &&Build| {
            build.id.kustomization == Some((namespace.to_owned(), name.to_owned()))
        };
        match builds.builds.iter().find(is_it) {
            None => Dependency::Absent,
            Some(build) if build.objects.is_err() => Dependency::NotReady,
            Some(_) => Dependency::Ready,
        }
    }) {
        return tell(why, beyond);
    }
    let access = account(builds, build, object);
    if access.is_some() {
        beyond.retain(|field| *field != "serviceAccountName");
    }
    let of_root = builds.builds.iter().filter(|other| other.id.root == build.id.root);
    let values = of_root.flat_map(|other| other.objects.iter().flatten());
    let mut paper = Paper { values: values.collect(), substitutes: false, access };
    if !reconcile::missing(&read, &|id| paper.find(id)).is_empty() {
        // Perhaps the cluster has them.
        read.post_build.is_partial = true;
        paper.substitutes = true;
        beyond.push("postBuild.substituteFrom");
    }
    let names: Vec<ObjectId> =
        read.post_build.substitute_from.iter().map(|from| from.id(&read.namespace)).collect();
    paper.values.retain(|object| names.iter().any(|id| object.id().is_same(id)));
    let tree = build.artifact.as_deref().unwrap_or(tree);
    let artifact = Artifact { revision, tree };
    let outcome =
        reconcile::reconcile(&read, artifact, &mut paper, &mut |_| ControlFlow::Continue(()));
    tell(outcome.ready, beyond)
}

/// The account by which Flux would apply, if the cluster's own objects say what it may do.
fn account(builds: &Builds, build: &Build, object: &Object) -> Option<Access> {
    let name = object.at("/spec/serviceAccountName").and_then(serde_json::Value::as_str)?;
    let of_cluster = builds.builds.iter().filter(|other| other.id.root == build.id.root);
    let objects: Vec<&Object> =
        of_cluster.flat_map(|other| other.objects.iter().flatten()).collect();
    Access::of(object.namespace(), name, &objects)
}

/// The sources of which the branch is not there.
fn sources(builds: &Builds, known: &BTreeSet<String>) -> Vec<Said> {
    let mut said = Vec::new();
    for build in &builds.builds {
        for object in build.objects.iter().flatten() {
            let is_own = (object.kind(), object.namespace(), object.name())
                == ("GitRepository", "flux-system", "flux-system");
            let text = |pointer| object.at(pointer).and_then(serde_json::Value::as_str);
            let Some(branch) = text("/spec/ref/branch").filter(|_| is_own) else { continue };
            let url = text("/spec/url").unwrap_or_default();
            let ready = match known.contains(branch) {
                true => Condition {
                    status: Status::True,
                    reason: "Succeeded",
                    message: format!("stored artifact for the branch {branch}"),
                },
                false => Condition {
                    status: Status::False,
                    reason: "GitOperationFailed",
                    message: format!(
                        "failed to checkout and determine revision: unable to clone '{url}': couldn't find remote ref \"refs/heads/{branch}\""
                    ),
                },
            };
            let root = build.id.root.clone();
            said.push(Said { root, object: object.id(), ready, beyond: Vec::new() });
        }
    }
    said
}

/// A cluster that has nothing but the values of variables, and is healthy whatever comes.
struct Paper<'a> {
    values: Vec<&'a Object>,
    /// Whether Flux would put further values in the place of `${…}`.
    substitutes: bool,
    /// What Flux may apply, where that is not everything.
    access: Option<Access>,
}

impl reconcile::Cluster for Paper<'_> {
    fn inventory(&self, _: &Kustomization) -> Result<Vec<ObjectId>, BoxError> {
        Ok(Vec::new())
    }

    fn find(&self, id: &ObjectId) -> Result<Option<Object>, BoxError> {
        let found = self.values.iter().find(|object| object.id().is_same(id));
        Ok(found.map(|object| (*object).clone()))
    }

    fn check(&self, object: &Object) -> Result<(), Refusal> {
        if let Some(refusal) = self.access.as_ref().and_then(|it| it.refusal(&object.id())) {
            return Err(refusal);
        }
        match refusal(object).filter(|_| !self.substitutes) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    fn apply(&mut self, _: &Object) -> Result<(), BoxError> {
        Ok(())
    }

    fn delete(&mut self, _: &ObjectId) -> Result<(), BoxError> {
        Ok(())
    }

    fn health(&self, _: &ObjectId) -> Health {
        Health::Current
    }
}

/// What an API server has against an object, if its kind is known.
fn refusal(object: &Object) -> Option<Refusal> {
    let flux = FluxVersion::NEWEST;
    let of = schemas().kind(object.api_version(), object.kind(), flux)?;
    let faults = validate(schemas(), of, object.value(), false, flux);
    let told: Vec<String> = faults
        .iter()
        .map(|fault| {
            format!(
                "{}: {}",
                fault.pointer.replace('/', ".").trim_start_matches('.'),
                fault.message
            )
        })
        .collect();
    let id = object.id();
    let group = if id.group.is_empty() { String::new() } else { format!(".{}", id.group) };
    let (kind, name) = (&id.kind, &id.name);
    (!told.is_empty()).then(|| {
        Refusal::new("Invalid", format!("{kind}{group} \"{name}\" is invalid: {}", told.join(", ")))
    })
}
