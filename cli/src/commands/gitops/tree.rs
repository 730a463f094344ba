//! The tree that a folder holds, and what its repository knows.

use std::collections::BTreeSet;
use std::path::Path;

use gitops::Tree;

use super::revision::Repository;

/// A tree of files.
pub(super) struct Read {
    pub(super) tree: Tree,
    /// The branches of the repository, if it is one.
    pub(super) branches: Option<BTreeSet<String>>,
}

/// Reads a folder: the root of a Git repository without what Git ignores, any other one whole.
pub(super) fn read(dir: &Path) -> anyhow::Result<Read> {
    let is_root = dir.join(".git").exists();
    match Repository::of(dir).ok().filter(|_| is_root) {
        Some(repository) => {
            Ok(Read { tree: repository.work_tree()?, branches: Some(repository.branches()?) })
        }
        None => Ok(Read { tree: Tree::read(dir)?, branches: None }),
    }
}
