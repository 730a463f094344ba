//! The files that a kustomization refers to.

use crate::tree::{self, Bytes, Found};
use crate::{Error, OciArtifact, Result, Tree};

/// The folder of a kustomization, from which paths are taken. It is what it is after all symbolic
/// links, as in kustomize.
#[derive(Clone, Debug)]
pub(super) struct Loader<'a> {
    pub(super) tree: &'a Tree,
    pub(super) folder: String,
    /// The artifact whose files the tree is; none for the tree that is built.
    pub(super) artifact: Option<OciArtifact>,
}

impl<'a> Loader<'a> {
    /// A folder of the tree that is built.
    pub(super) fn new(tree: &'a Tree, folder: String) -> Self {
        Self { tree, folder, artifact: None }
    }

    /// Another folder of the same tree.
    pub(super) fn at(&self, folder: String) -> Self {
        Self { folder, ..self.clone() }
    }

    /// The folder's name among all trees.
    pub(super) fn place(&self) -> String {
        match &self.artifact {
            Some(artifact) => format!("{artifact}//{}", self.folder),
            None => self.folder.clone(),
        }
    }

    /// What a path means from here.
    pub(super) fn find(&self, path: &str) -> Result<Found<'a>> {
        self.tree.find(&self.resolve(path)?)
    }

    /// A path from here as a path of the tree.
    pub(super) fn resolve(&self, path: &str) -> Result<String> {
        tree::resolve(&self.folder, path)
    }

    /// What stands in a file.
    pub(super) fn bytes(&self, path: &str) -> Result<Bytes<'a>> {
        match self.find(path)? {
            Found::File(bytes) => Ok(bytes),
            _ => Err(Error::Missing { path: self.resolve(path)? }),
        }
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Result<&'a str> {
        self.bytes(path)?.text().ok_or_else(|| Error::Unread {
            path: path.to_owned(),
            reason: "it is no text (UTF-8)".to_owned(),
        })
    }
}
