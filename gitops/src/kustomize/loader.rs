//! The files that a kustomization refers to.

use crate::tree::{self, Bytes, Found};
use crate::{Error, Result, Tree};

/// The folder of a kustomization, from which paths are taken. It is what it is after all symbolic
/// links, as in kustomize.
#[derive(Clone, Debug)]
pub(super) struct Loader<'a> {
    pub(super) tree: &'a Tree,
    pub(super) folder: String,
}

impl<'a> Loader<'a> {
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
