//! The tree that a folder holds, and what its repository knows.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use gitops::Tree;

use super::revision::Repository;

/// A tree of files.
pub(super) struct Read {
    pub(super) tree: Tree,
    /// The branches of the repository, if it is one.
    pub(super) branches: Option<BTreeSet<String>>,
}

/// Reads a folder: the root of a Git repository without what Git ignores, any other one whole. A
/// file is a tree by itself.
pub(super) fn read(dir: &Path) -> anyhow::Result<Read> {
    if dir.is_file() {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let tree = Tree::from_files([(&*name, fs::read_to_string(dir)?)])?;
        return Ok(Read { tree, branches: None });
    }
    let is_root = dir.join(".git").exists();
    match Repository::of(dir).ok().filter(|_| is_root) {
        Some(repository) => {
            Ok(Read { tree: repository.work_tree()?, branches: Some(repository.branches()?) })
        }
        None => Ok(Read { tree: Tree::read(dir)?, branches: None }),
    }
}
