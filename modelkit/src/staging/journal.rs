//! What is being moved, written down before it begins, so that whoever comes after a kill can take
//! it back.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::fault;
use super::moves::or_dot;
use crate::archive::Folder;
use crate::error::Result;

/// The journal in a folder of ours.
const FILE: &str = "journal";

/// All that is being moved in a target.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The folder of ours that it is of: in no other it counts.
    own: Option<(u64, u64)>,
    /// Folders of ours in other file systems, as paths in the target.
    pub(super) elsewhere: Vec<String>,
    pub(super) moves: Vec<Done>,
}

/// A move, done or about to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    /// Where it comes from: a folder of ours, as a path in the target.
    pub(super) from: String,
    /// The folder that it belongs in, as a path in the target.
    pub(super) to: String,
    pub(super) name: String,
    /// What tells it from everything else: its device and its inode.
    pub(super) identity: (u64, u64),
    /// What the file that it replaces is called in `from`.
    pub(super) kept: Option<String>,
}

/// Whether a folder of ours belongs to moves that have begun and not ended.
pub(crate) fn is_unfinished(staging: &Path) -> bool {
    staging.join(FILE).is_file()
}

/// Says in a folder of ours, one whose name begins with `.kit-rs-`, that what lies beside it is
/// written in part: until its [`end`](Self::end) nobody packs that.
#[derive(Debug)]
#[must_use = "it has to end"]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// Begins.
    pub fn begin(own: &Path) -> io::Result<Self> {
        let file = own.join(FILE);
        fs::write(&file, "{}")?;
        Ok(Self(file))
    }

    /// All is written.
    pub fn end(self) -> io::Result<()> {
        fs::remove_file(self.0)
    }
}

impl Journal {
    /// The journal of a folder that was left, if it has one.
    pub(super) fn read(staging: &Path) -> Result<Option<Self>> {
        fault::point()?;
        let text = match fs::read(staging.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let journal: Self = serde_json::from_slice(&text).map_err(io::Error::from)?;
        // By the inode alone: a file system that is mounted anew may be another device.
        let inode = |identity: Option<(u64, u64)>| identity.map(|(_, inode)| inode);
        let is_of_it = journal.own.is_some()
            && inode(journal.own) == inode(Folder::open(staging)?.identity(".")?);
        match is_of_it {
            true => Ok(Some(journal)),
            // A copy, or a forgery. What it keeps may be all that is left of files of the user's.
            false => Err(io::Error::other("its journal is that of another folder").into()),
        }
    }

    /// Writes it, in one step.
    pub(super) fn write(&mut self, staging: &Path) -> io::Result<()> {
        self.own = Folder::open(staging)?.identity(".")?;
        let new = staging.join("journal.new");
        fault::point()?;
        fs::write(&new, serde_json::to_vec(self)?)?;
        fault::point()?;
        fs::rename(new, staging.join(FILE))
    }

    /// What was written down is done.
    pub(super) fn end(&self, staging: &Path) -> io::Result<()> {
        if self.own.is_none() {
            return Ok(());
        }
        fault::point()?;
        fs::remove_file(staging.join(FILE))
    }

    /// Takes back whatever of it was done, the last first.
    pub(super) fn undo(&self, target: &Folder) -> Result<()> {
        self.moves.iter().rev().try_for_each(|done| done.undo(target))
    }
}

impl Done {
    fn undo(&self, target: &Folder) -> Result<()> {
        let Self { from, to, name, identity, kept } = self;
        if [Some(name), kept.as_ref()].into_iter().flatten().any(|name| name.contains('/')) {
            return Err(io::Error::other("the journal names what is in no folder").into());
        }
        let folder = match target.folder(or_dot(to)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            folder => folder?,
        };
        if folder.identity(name)?.map(|(_, inode)| inode) != Some(identity.1) {
            return Ok(());
        }
        let from = target.folder(or_dot(from))?;
        match kept {
            Some(kept) => folder.take_as(&from, kept, name)?,
            None => from.take_new(&folder, name, name)?,
        }
        Ok(())
    }
}
