//! What is on its way into somebody's folder: it lies within it, unseen, until all of it is there
//! and verified; then it is placed, all of it or nothing.
//!
//! A folder that is not there yet comes into being by one rename. In one that is there several
//! things may have to be moved: what will be done is written down first, so that a failure is
//! undone at once, and what a killed process has begun by the next that comes here. Where other
//! file systems are mounted in the folder, what belongs there is brought there before anything is
//! seen, because nothing is renamed from one to another.

pub(crate) mod fault;
mod held;
mod journal;
mod merge;
mod mount;
mod moves;

use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use held::Held;
use journal::Journal;
pub use journal::Unfinished;
pub(crate) use journal::is_unfinished;
pub(crate) use merge::merge;
use moves::Moves;

use crate::archive::{Extracted, Folder};
use crate::error::{Error, Result};

/// How names begin that this program keeps for itself, and packs for nobody.
pub(crate) const OWN: &str = ".kit-rs-";
/// How the folders begin in which things wait.
pub(crate) const STAGING: &str = ".kit-rs-staging-";

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is an error, and nothing is unpacked; unless it is the same to the byte, so that what was
    /// done may be done again.
    #[default]
    Refuse,
    /// It stays as it is, whatever is in it. Another Kitfile is an error all the same.
    Keep,
    /// It is replaced, another Kitfile too.
    Replace,
}

/// A folder that nobody sees, with a folder for each thing that is on its way; it goes when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    /// Where everything belongs.
    target: PathBuf,
    /// What of the target's path is missing; then the staging lies in the folder before that.
    missing: Vec<String>,
    held: Held,
}

impl Staging {
    /// Makes one for a folder, which need not be there, after what earlier processes left for it
    /// was taken back and away.
    pub(crate) fn beneath(target: &Path) -> Result<Self> {
        let (there, missing) = nearest(target)?;
        // Who made the folder and was killed may have left something beside it.
        let beside = missing.is_empty().then(|| target.parent().unwrap_or(Path::new("")));
        if let Some(beside) = beside {
            // What cannot be looked into is somebody else's.
            let _ = sweep(or_here(beside));
        }
        sweep(&there)?;
        let held = Held::make(&there)?;
        Ok(Self { target: target.to_owned(), missing, held })
    }

    /// One of the folders within, made when it is asked for first.
    pub(crate) fn folder(&self, index: usize) -> Result<Folder> {
        let staging = Folder::open(self.held.path())?;
        Ok(staging.create_folders(&index.to_string())?)
    }

    /// Where such a folder lies.
    pub(crate) fn path(&self, index: usize) -> PathBuf {
        self.held.path().join(index.to_string())
    }

    /// Bytes that are free where things are written; none where that is not known.
    pub(crate) fn room(&self) -> Option<u64> {
        let found =
            rustix::fs::statvfs(self.held.path()).ok().filter(|found| found.f_blocks > 0)?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Brings what lies in the folders 0 up to and with `last` together, and then into the target;
    /// returns what was left behind because it was there already.
    pub(crate) fn place(mut self, last: usize, existing: Existing) -> Result<Extracted> {
        let first = self.folder(0)?;
        let mut skipped = Extracted::default();
        for index in 1..=last {
            let merged = merge(&self.folder(index)?, &first, existing);
            skipped += merged.map_err(|error| self.as_in_target(&first, error))?;
        }
        skipped += match self.missing.is_empty() {
            true => self.place_within(&first, existing)?,
            false => self.place_anew()?,
        };
        Ok(skipped)
    }

    /// By one rename.
    fn place_anew(&self) -> Result<Extracted> {
        let (last, leading) = self.missing.split_last().expect("something is missing");
        let staging = Folder::open(self.held.path())?;
        let path = [&["new".to_owned()], leading].concat().join("/");
        staging.create_folders(&path)?.take_as(&staging, "0", last)?;
        let there = Folder::open(self.held.path().parent().expect("it lies in a folder"))?;
        let first = &self.missing[0];
        Ok(there.take_new(&staging.folder("new")?, first, first).map(|()| Extracted::default())?)
    }

    /// By as many as it takes, written down first.
    fn place_within(&mut self, tree: &Folder, existing: Existing) -> Result<Extracted> {
        let target = Folder::open(&self.target)?;
        let mut moves = Moves::plan(tree, &target, self.held.path(), existing)?;
        if let Err(error) = moves.carry_out(&target) {
            if moves.undo(&target).is_err() {
                // The next that comes here goes on with that.
                self.held.stay();
                moves.stay();
            }
            return Err(error);
        }
        Ok(moves.skipped)
    }

    /// Names a path in a folder of our own as what it would be in the target.
    fn as_in_target(&self, tree: &Folder, error: Error) -> Error {
        let place = |path: PathBuf| match path.strip_prefix(tree.path()) {
            Ok(path) => self.target.join(path),
            Err(_) => path,
        };
        match error {
            Error::Exists { path } => Error::Exists { path: place(path) },
            Error::InTheWay { path, found, expected } => {
                Error::InTheWay { path: place(path), found, expected }
            }
            other => other,
        }
    }
}

/// Writes a file as a whole, in place of another only if that is asked for: it is never seen half.
pub fn write_file(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::Name {
        path: path.display().to_string(),
        problem: "has no name that could be written",
    })?;
    write_files(or_here(path.parent().unwrap_or(Path::new(""))), [(name, bytes)], existing)
}

/// Writes files below a folder, each by its path there: all of them or none, whatever happens
/// meanwhile. After a kill in the midst of it, packing the folder is refused, and the next call for
/// the same folder takes back what was begun.
pub fn write_files<'a>(
    dir: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    existing: Existing,
) -> Result<()> {
    let staging = Staging::beneath(dir)?;
    let root = staging.folder(0)?;
    for (path, bytes) in files {
        let mut file = match path.rsplit_once('/') {
            Some((parent, name)) => root.create_folders(parent)?.create_file(name, false)?,
            None => root.create_file(path, false)?,
        };
        std::io::Write::write_all(&mut file, bytes)?;
    }
    staging.place(0, existing).map(drop)
}

/// Takes away what processes that are no more left in a folder, after what they had begun was
/// undone.
fn sweep(within: &Path) -> Result<()> {
    for mut left in held::left_in(within)? {
        if let Err(error) = undo(left.path(), within) {
            left.stay();
            return Err(Error::Unfinished {
                path: left.path().to_owned(),
                source: Box::new(error),
            });
        }
    }
    Ok(())
}

/// Takes back what was begun in a folder.
fn undo(left: &Path, within: &Path) -> Result<()> {
    let Some(journal) = Journal::read(left)? else { return Ok(()) };
    journal.undo(&Folder::open(within)?)?;
    for path in &journal.elsewhere {
        drop(Held::left(within.join(path)));
    }
    Ok(())
}

/// The folder on a path that is there, and the names of those that are missing.
fn nearest(target: &Path) -> Result<(PathBuf, Vec<String>)> {
    let (mut there, mut missing) = (target, Vec::new());
    while fs::symlink_metadata(or_here(there)).is_err() {
        match there.components().next_back() {
            Some(Component::Normal(name)) if name.to_str().is_some() => {
                missing.insert(0, name.to_string_lossy().into_owned());
                there = there.parent().unwrap_or(Path::new(""));
            }
            // Where a path turns back, what it turns at is made first.
            _ => {
                fs::create_dir_all(target)?;
                return Ok((target.to_owned(), Vec::new()));
            }
        }
    }
    Ok((or_here(there).to_owned(), missing))
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests;
