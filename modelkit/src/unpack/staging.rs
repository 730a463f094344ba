//! Where layers are extracted before anybody sees them.

use std::path::{Path, PathBuf};

use fs_err as fs;
use tempfile::TempDir;

use super::place::{Existing, merge};
use crate::archive::{Extracted, Folder};
use crate::error::{Error, Result};

/// A temporary folder within the target, with a folder for each layer; it goes when it is dropped.
pub(crate) struct Staging(TempDir);

impl Staging {
    pub(crate) fn beneath(into: &Path) -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix(".kit-rs-").tempdir_in(into)?))
    }

    pub(crate) fn path(&self, index: usize) -> PathBuf {
        let path = self.0.path().join(index.to_string());
        // It is there already, or whoever uses the path will say what is wrong.
        let _ = fs::create_dir(&path);
        path
    }

    pub(crate) fn folder(&self, index: usize) -> Result<Folder> {
        Ok(Folder::open(&self.path(index))?)
    }

    /// Names a path in the first folder as what it would be in the target.
    fn as_in(&self, into: &Path, error: Error) -> Error {
        let first = self.path(0);
        let place =
            |path: PathBuf| path.strip_prefix(&first).map_or(path.clone(), |path| into.join(path));
        match error {
            Error::Exists { path } => Error::Exists { path: place(path) },
            Error::InTheWay { path, found, expected } => {
                Error::InTheWay { path: place(path), found, expected }
            }
            other => other,
        }
    }

    /// Brings what lies in the folders 0 up to and with `last` together, and then into the target.
    pub(crate) fn place(&self, last: usize, into: &Path, existing: Existing) -> Result<Extracted> {
        let first = self.folder(0)?;
        let mut skipped = Extracted::default();
        let target = Folder::open(into)?;
        let mut add = |more: Extracted| {
            skipped.n_files += more.n_files;
            skipped.bytes += more.bytes;
        };
        for index in 1..=last {
            let merged = merge(&self.folder(index)?, &first, existing);
            add(merged.map_err(|error| self.as_in(into, error))?);
        }
        add(merge(&first, &target, existing)?);
        Ok(skipped)
    }
}
