//! What a commit changes in the objects that a repository builds.
//!
//! Objects are compared as values, so comments, the order of keys and how files are cut up make no
//! difference. The order in which objects are built makes none either: Flux has its own.

mod mask;
mod unified;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use mask::Masked;
use unified::unified;

use crate::builds::{Build, BuildId, Builds};
use crate::{Object, ObjectId, Tree};

/// What is different between what two trees build. It is empty exactly when both build the same
/// objects and nothing that concerns them fails.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Objects that come, go or change, in the order of their builds.
    pub changes: Vec<Change>,
    /// Builds of changed files that fail.
    pub failures: Vec<Failure>,
    /// Fields that change what is built and are not heeded here, by the builds that have them.
    pub unheeded: Vec<(BuildId, &'static str)>,
    /// Kustomizations whose files come from elsewhere, with their sources: they are not built.
    pub elsewhere: Vec<(ObjectId, String)>,
    /// How many builds were compared.
    pub n_builds: usize,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It is another one.
    Changed,
}

impl Action {
    /// `added`, `removed`, `changed`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// An object that comes, goes or changes.
#[derive(Clone, Debug)]
pub struct Change {
    /// The build that has it.
    pub build: BuildId,
    /// The folder of that build.
    pub folder: String,
    /// The object.
    pub object: ObjectId,
    /// What becomes of it.
    pub action: Action,
    /// The lines of its YAML that differ, in the unified format. Values of Secrets are masked.
    pub diff: String,
}

/// Which of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Old,
    /// The second.
    New,
}

/// A build that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which build.
    pub build: BuildId,
    /// Of which tree.
    pub side: Side,
    /// Why.
    pub message: String,
}

impl Diff {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.failures.is_empty()
    }

    /// How many objects something becomes of.
    pub fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }
}

impl fmt::Display for Diff {
    /// All changes as one patch, each under its build.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for change in &self.changes {
            if last != Some(&change.build) {
                writeln!(f, "=== {}", change.build)?;
                last = Some(&change.build);
            }
            f.write_str(&change.diff)?;
        }
        Ok(())
    }
}

/// Compares what two trees build.
pub fn diff(old: &Tree, new: &Tree) -> Diff {
    let before = Builds::of(old);
    let after = Builds::after(new, &before, old);
    let mut diff = Diff::default();
    let ids: BTreeSet<&BuildId> =
        before.builds.iter().chain(&after.builds).map(|build| &build.id).collect();
    diff.n_builds = ids.len();
    for id in ids {
        diff.compare(before.find(id), after.find(id));
    }
    diff.elsewhere = before.elsewhere.into_iter().chain(after.elsewhere).collect();
    diff.elsewhere.sort();
    diff.elsewhere.dedup();
    diff
}

impl Diff {
    fn compare(&mut self, old: Option<&Build>, new: Option<&Build>) {
        let Some(one) = new.or(old) else { return };
        let is_unchanged =
            old.zip(new).is_some_and(|(old, new)| Arc::ptr_eq(&old.objects, &new.objects));
        if is_unchanged {
            return;
        }
        let unheeded = old.into_iter().chain(new).flat_map(|build| &build.unheeded);
        let unheeded: BTreeSet<&'static str> = unheeded.copied().collect();
        self.unheeded.extend(unheeded.into_iter().map(|field| (one.id.clone(), field)));
        let mut failed = false;
        for (side, build) in [(Side::Old, old), (Side::New, new)] {
            if let Some(Err(message)) = build.map(|build| build.objects.as_ref()) {
                failed = true;
                let message = message.clone();
                self.failures.push(Failure { build: one.id.clone(), side, message });
            }
        }
        // All of it would seem to come or to go.
        if failed {
            return;
        }
        let (before, after) = (by_key(old), by_key(new));
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (before, after) = (before.get(key).copied(), after.get(key).copied());
            if before != after {
                self.changes.extend(change(one, before, after));
            }
        }
    }
}

/// What identifies an object within a build, whatever version it speaks, and which of several with
/// the same name it is.
type Key = ([String; 4], usize);

fn by_key(build: Option<&Build>) -> BTreeMap<Key, &Object> {
    let mut objects = BTreeMap::new();
    for object in build.iter().flat_map(|build| build.objects.iter().flatten()) {
        let id = object.id();
        let named = [id.group, id.kind, id.namespace, id.name];
        let nth = (0..).find(|nth| !objects.contains_key(&(named.clone(), *nth)));
        objects.insert((named, nth.expect("numbers go on")), object);
    }
    objects
}

fn change(build: &Build, old: Option<&Object>, new: Option<&Object>) -> Option<Change> {
    let (action, object) = match (old, new) {
        (None, None) => return None,
        (None, Some(new)) => (Action::Added, new),
        (Some(old), None) => (Action::Removed, old),
        (Some(_), Some(new)) => (Action::Changed, new),
    };
    let id = object.id();
    let Masked { old: before, new: after } = mask::texts(old, new);
    let folder = if build.folder.is_empty() { "." } else { &build.folder };
    let name = format!("{folder}/{id}");
    let diff = unified(
        before.as_deref().map(|text| (format!("a/{name}"), text)),
        after.as_deref().map(|text| (format!("b/{name}"), text)),
    );
    let folder = build.folder.clone();
    Some(Change { build: build.id.clone(), folder, object: id, action, diff })
}
