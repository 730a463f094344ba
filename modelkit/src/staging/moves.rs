//! What is moved to where, done and undone.

use std::path::Path;

use super::held::Held;
use super::journal::{Done, Journal};
use super::merge::{check_kind, for_each};
use super::mount::Mount;
use super::{Existing, STAGING, sweep};
use crate::archive::{Extracted, Folder};
use crate::error::{Error, Result};

/// All that is to be done in a target.
pub(super) struct Moves {
    moves: Vec<Move>,
    /// Our folder in the target.
    staging: Folder,
    /// Those in file systems that are mounted within the target.
    elsewhere: Vec<Held>,
    /// What stays behind because something is there already.
    pub(super) skipped: Extracted,
    journal: Journal,
}

/// A file or a folder that gets its place.
struct Move {
    /// The folder of ours that it waits in, as a path in the target.
    from: String,
    /// The folder of the target that it belongs in, as a path in the target.
    to: String,
    name: String,
    /// Takes the place of a file.
    replaces: bool,
}

/// Where the plan is: a folder of ours, its place in the target, and the file system of both.
struct Place<'a> {
    from: &'a Folder,
    to: &'a Folder,
    path: &'a str,
    mount: Mount,
    /// The Git repository's own folder that this is in, if it is in one that was there before.
    repository: Option<&'a Path>,
}

impl Moves {
    /// Looks at everything first, so that what stands in the way of one file stops all of them.
    pub(super) fn plan(
        tree: &Folder,
        target: &Folder,
        staging: &Path,
        existing: Existing,
    ) -> Result<Self> {
        let mut moves = Self {
            moves: Vec::new(),
            staging: Folder::open(staging)?,
            elsewhere: Vec::new(),
            skipped: Extracted::default(),
            journal: Journal::default(),
        };
        let mount = Mount::of(target)?;
        let place = Place { from: tree, to: target, path: "", mount, repository: None };
        moves.add(&place, existing)?;
        Ok(moves)
    }

    fn add(&mut self, place: &Place<'_>, existing: Existing) -> Result<()> {
        for_each(place.from, |name, is_folder, source| {
            let path = place.to.path().join(name);
            let found = place.to.kind(name)?;
            match found {
                Some(found) => check_kind(&path, found, is_folder)?,
                None => return self.note(place, name, false, existing),
            }
            if is_folder {
                return self.add_beneath(place, name, existing);
            }
            match existing {
                Existing::Refuse if !place.to.has_same(place.from, name)? => {
                    Err(Error::Exists { path })
                }
                Existing::Refuse | Existing::Keep => {
                    self.skipped.n_files += 1;
                    self.skipped.bytes += fs_err::symlink_metadata(source)?.len();
                    Ok(())
                }
                Existing::Replace => self.note(place, name, true, existing),
            }
        })
    }

    /// Plans for a folder that is there; one of another file system gets a folder of ours, and a
    /// copy of what belongs there.
    fn add_beneath(&mut self, place: &Place<'_>, name: &str, existing: Existing) -> Result<()> {
        let (from, to, outer) = (place.from.folder(name)?, place.to.folder(name)?, place.mount);
        let path = join(place.path, name);
        let mount = Mount::of(&to)?;
        let is_repository = name.eq_ignore_ascii_case(".git");
        let repository = place.repository.or_else(|| is_repository.then(|| to.path()));
        let place = Place { from: &from, to: &to, path: &path, mount, repository };
        if mount == outer {
            return self.add(&place, existing);
        }
        sweep(to.path())?;
        let held = Held::make(to.path())?;
        // Before anything lies in it: whoever comes after a kill looks into the target only.
        let target = self.staging.path().parent().ok_or_else(left)?;
        self.journal.elsewhere.push(within(held.path(), target)?);
        self.journal.write(self.staging.path())?;
        let copy = Folder::open(held.path())?.create_folders("0")?;
        self.elsewhere.push(held);
        copy_all(&from, &copy)?;
        self.add(&Place { from: &copy, ..place }, existing)
    }

    fn note(
        &mut self,
        place: &Place<'_>,
        name: &str,
        replaces: bool,
        existing: Existing,
    ) -> Result<()> {
        // What lies in there is run by whoever works in the repository.
        if let Some(path) = place.repository.filter(|_| existing != Existing::Replace) {
            return Err(Error::Repository { path: path.to_owned() });
        }
        let target = self.staging.path().parent().ok_or_else(left)?;
        let (from, to) = (within(place.from.path(), target)?, place.path.to_owned());
        self.moves.push(Move { from, to, name: name.to_owned(), replaces });
        Ok(())
    }

    /// Does it all. After an error [`undo`](Self::undo) it.
    pub(super) fn carry_out(&mut self, target: &Folder) -> Result<()> {
        // One rename is done or not.
        if self.moves.len() > 1 {
            self.write_down(target)?;
        }
        let mut last = Last::default();
        for step in &self.moves {
            let (name, (from, to)) = (&step.name, last.folders(step, target)?);
            match step.replaces {
                true => to.take_as(from, name, name)?,
                false => to.take_new(from, name, name)?,
            }
        }
        Ok(self.journal.end(self.staging.path())?)
    }

    /// Notes what will be done, and keeps what will be replaced.
    fn write_down(&mut self, target: &Folder) -> Result<()> {
        let mut last = Last::default();
        for (number, step) in self.moves.iter().enumerate() {
            let (name, (from, to)) = (&step.name, last.folders(step, target)?);
            // It stays in its own file system, beside what replaces it.
            let kept = step.replaces.then(|| format!("{STAGING}{number}"));
            if let Some(kept) = &kept {
                from.keep(to, name, kept)?;
            }
            let identity = from.identity(name)?.ok_or_else(left)?;
            let (from, to, name) = (step.from.clone(), step.to.clone(), name.clone());
            self.journal.moves.push(Done { from, to, name, identity, kept });
        }
        Ok(self.journal.write(self.staging.path())?)
    }

    /// Takes back what was done.
    pub(super) fn undo(&self, target: &Folder) -> Result<()> {
        self.journal.undo(target)
    }

    /// Leaves everything as it is, for the next that comes here.
    pub(super) fn stay(&mut self) {
        self.elsewhere.iter_mut().for_each(Held::stay);
    }
}

/// The folders of the last move, kept open: the next has the same, mostly, and all together would be
/// too many.
#[derive(Default)]
struct Last(Option<(String, String, (Folder, Folder))>);

impl Last {
    /// Where a move comes from and where it goes.
    fn folders(&mut self, step: &Move, target: &Folder) -> Result<(&Folder, &Folder)> {
        let is_same =
            self.0.as_ref().is_some_and(|(from, to, _)| (from, to) == (&step.from, &step.to));
        if !is_same {
            let folders = (target.folder(&step.from)?, target.folder(or_dot(&step.to))?);
            self.0 = Some((step.from.clone(), step.to.clone(), folders));
        }
        let (_, _, (from, to)) = self.0.as_ref().expect("opened above");
        Ok((from, to))
    }
}

/// Copies what is in a folder of our own to another file system.
fn copy_all(from: &Folder, to: &Folder) -> Result<()> {
    for_each(from, |name, is_folder, _| match is_folder {
        true => copy_all(&from.folder(name)?, &to.create_folders(name)?),
        false => Ok(to.copy(from, name, name)?),
    })
}

/// A path in the target, relative to it.
fn within(path: &Path, target: &Path) -> Result<String> {
    let relative = path.strip_prefix(target).ok().and_then(Path::to_str);
    Ok(relative.map(str::to_owned).ok_or_else(left)?)
}

/// For what is no longer where it was put.
fn left() -> std::io::Error {
    std::io::Error::other("somebody else moves files in the folder")
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

pub(super) fn or_dot(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
