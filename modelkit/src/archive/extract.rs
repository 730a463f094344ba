//! Extracts archives without trusting them.

use std::io::{BufRead, Write as _};
use std::ops::{AddAssign, ControlFlow};
use std::sync::Arc;

use kitfile::ContextPath;

use super::entry::Kind;
use super::folder::Folder;
use super::limits::{Budget, Limits};
use super::read::{Archive, Found};
use super::small::{SMALL, SmallFiles};
use crate::error::{Refused, go_on};

/// How to extract an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractOptions {
    /// How many entries it may have; its size is the stream's, which the caller has an eye on.
    pub limits: Limits,
    /// How many threads write small files; with one, whoever reads also writes.
    pub n_threads: usize,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), n_threads: 1 }
    }
}

/// What came out of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extracted {
    /// Number of files.
    pub n_files: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
}

impl AddAssign for Extracted {
    fn add_assign(&mut self, more: Self) {
        self.n_files += more.n_files;
        self.bytes += more.bytes;
    }
}

/// Extracts a tar archive beneath a folder, reading the stream to its end.
///
/// Only files and folders come out, with mode 0755 or 0644 by their x bit (less the umask); every
/// other kind of entry, every name that could lead elsewhere, and every file that is there already
/// is refused.
/// An archive that is refused in the middle has left entries behind: extract into a folder of your
/// own, verify the digest, and move what is in it into place, as [`unpack`](crate::unpack()) does.
/// `on` hears the number of content bytes as they are written; `Break` stops the extraction.
pub fn extract(
    stream: &mut dyn BufRead,
    into: &Folder,
    options: &ExtractOptions,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Extracted, Refused> {
    let budget = Budget::of_entries(options.limits.max_entries);
    extract_by(&Rules::new(&budget, &ContextPath::root()), stream, into, options.n_threads, on)
}

/// What an archive is held to, beside being one.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// How much may come out of it, and of others at the same time.
    pub(crate) budget: &'a Budget,
    /// The only path at which it may have files, as was announced; folders also on the way there.
    pub(crate) within: &'a ContextPath,
    /// What is wrong with a path, if anything.
    pub(crate) refuse: fn(&str) -> Option<&'static str>,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(budget: &'a Budget, within: &'a ContextPath) -> Self {
        Self { budget, within, refuse: |_| None }
    }

    /// Holds an entry to what was announced.
    fn check(&self, found: &Found) -> Result<(), Refused> {
        // A name that is no path in the context would have been refused before.
        let is_announced = self.within.is_root()
            || found.path.parse::<ContextPath>().is_ok_and(|path| {
                let is_on_the_way = found.kind == Kind::Folder && self.within.is_within(&path);
                path.is_within(self.within) || is_on_the_way
            });
        let name = || found.path.escape_debug().to_string();
        if !is_announced {
            return Err(Refused::Outside { name: name(), path: self.within.to_string() });
        }
        match (self.refuse)(&found.path) {
            Some(problem) => Err(Refused::Entry { name: name(), problem }),
            None => Ok(()),
        }
    }
}

/// Extracts an archive that is held to rules.
pub(crate) fn extract_by(
    rules: &Rules<'_>,
    stream: &mut dyn BufRead,
    into: &Folder,
    n_threads: usize,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Extracted, Refused> {
    let mut small = SmallFiles::new(n_threads);
    let extracted = entries(rules, stream, into, &mut small, on);
    // What a writer met may be what made the reader stop.
    small.finish()?;
    extracted
}

fn entries(
    rules: &Rules<'_>,
    stream: &mut dyn BufRead,
    into: &Folder,
    small: &mut SmallFiles,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Extracted, Refused> {
    let mut archive = Archive::new(stream);
    let mut extracted = Extracted::default();
    let mut parent: Option<(String, Arc<Folder>)> = None;
    let make = |path: &str| {
        let (folder, n_made) = into.create_folders_counted(path)?;
        rules.budget.take_folders(n_made)?;
        Ok::<_, Refused>(folder)
    };
    while let Some(found) = archive.next()? {
        rules.check(&found)?;
        if found.kind == Kind::Folder {
            make(&found.path)?;
            continue;
        }
        rules.budget.take_entry()?;
        let folder = found.path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        if parent.as_ref().is_none_or(|(path, _)| path != folder) {
            parent = Some((folder.to_owned(), Arc::new(make(folder)?)));
        }
        let (_, folder) = parent.as_ref().expect("set above");
        if found.size <= SMALL {
            small.add(&mut archive, &found, folder)?;
            go_on(on(found.size))?;
        } else {
            file(&mut archive, &found, folder, on)?;
        }
        extracted.n_files += 1;
        extracted.bytes += found.size;
    }
    Ok(extracted)
}

/// Takes a file: its path, its x bit, its content.
pub(crate) type EachFile<'a> = dyn FnMut(&str, bool, &mut dyn BufRead) -> Result<(), Refused> + 'a;

/// Goes through an archive that is held to rules, reading the stream to its end; `each` takes every
/// file.
pub(crate) fn for_each_file(
    rules: &Rules<'_>,
    stream: &mut dyn BufRead,
    each: &mut EachFile<'_>,
) -> Result<(), Refused> {
    let mut archive = Archive::new(stream);
    while let Some(found) = archive.next()? {
        rules.check(&found)?;
        rules.budget.take_entry()?;
        if found.kind != Kind::Folder {
            each(&found.path, found.kind == Kind::Executable, &mut archive)?;
        }
    }
    Ok(())
}

fn file<R: BufRead>(
    archive: &mut Archive<R>,
    found: &Found,
    folder: &Folder,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<(), Refused> {
    let mut file = folder.create_entry(&found.path, found.kind == Kind::Executable)?;
    let mut left = found.size;
    while left > 0 {
        let bytes = archive.content()?;
        let n = bytes.len();
        if n == 0 {
            return Err(Refused::Malformed("it ends within an entry"));
        }
        file.write_all(bytes)?;
        archive.consume(n);
        left -= n as u64;
        go_on(on(n as u64))?;
    }
    Ok(())
}
