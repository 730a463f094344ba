//! Everything that a repository builds: the Flux Kustomizations in it, as Flux would come to them,
//! and the kustomize folders that nothing else takes.
//!
//! What Flux leaves out of the repository (`.sourceignore`, `spec.ignore`) is left out of the builds
//! that are Flux', and `spec.postBuild` is done with the values that the repository itself has.
//! Fields that change what is built and that nobody here follows are named.

mod inputs;
mod search;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Object, ObjectId, Tree};

/// One build of a repository, and what came of it.
#[derive(Clone, Debug)]
pub struct Build {
    /// What makes it the same build at another revision.
    pub id: BuildId,
    /// The folder that is built; empty for the root.
    pub folder: String,
    /// Fields of the Flux Kustomization that change what is built, and that nobody here follows.
    pub unheeded: Vec<&'static str>,
    /// The Flux Kustomization as it was built.
    pub(crate) object: Option<Object>,
    /// The files that it is built from, where those are not all of the repository's.
    pub(crate) artifact: Option<Arc<Tree>>,
    /// The objects, or why there are none.
    pub objects: Arc<Result<Vec<Object>, String>>,
}

impl Build {
    /// The files of objects that the build takes.
    pub(crate) fn files(&self, tree: &Tree) -> BTreeSet<String> {
        inputs::taken(tree, &self.folder)
    }
}

/// What identifies a build within a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildId {
    /// The folder at which a cluster's Flux begins, or from which the Kustomization comes; for a
    /// folder without a Kustomization the folder itself.
    pub root: String,
    /// The Flux Kustomization, if one asks for it: its namespace and name.
    pub kustomization: Option<(String, String)>,
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = if self.root.is_empty() { "." } else { &self.root };
        match &self.kustomization {
            Some((namespace, name)) => write!(f, "{root}: Kustomization/{namespace}/{name}"),
            None => f.write_str(root),
        }
    }
}

/// All that a repository builds.
#[derive(Clone, Debug, Default)]
pub struct Builds {
    /// Each build, in the order of its id.
    pub builds: Vec<Build>,
    /// The Kustomizations whose files come from elsewhere, with their sources.
    pub elsewhere: Vec<(ObjectId, String)>,
}

impl Builds {
    /// Builds everything in a repository.
    pub fn of(tree: &Tree) -> Self {
        search::run(tree, None)
    }

    /// The same, taking over from an earlier revision what is made of unchanged files only.
    pub(crate) fn after(tree: &Tree, earlier: &Self, earlier_tree: &Tree) -> Self {
        search::run(tree, Some((earlier, &earlier_tree.changes(tree))))
    }

    pub(crate) fn find(&self, id: &BuildId) -> Option<&Build> {
        self.builds.binary_search_by(|build| build.id.cmp(id)).ok().map(|n| &self.builds[n])
    }
}
