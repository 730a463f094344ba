//! Extracts archives without trusting them.

use std::io::{BufRead, Write as _};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::entry::Kind;
use super::folder::Folder;
use super::read::{Archive, Found};
use super::small::{SMALL, SmallFiles};
use crate::error::{Refused, go_on};

/// How much may come out of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a compressed layer may grow to, as a multiple of its size …
    pub max_ratio: u64,
    /// … where it grows beyond this many bytes; every layer may grow that far.
    pub free_bytes: u64,
    /// Entries that one archive may have.
    pub max_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_ratio: 200, free_bytes: 256 << 20, max_entries: 10_000_000 }
    }
}

/// How to extract an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractOptions {
    /// How much may come out of it.
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
    let mut small = SmallFiles::new(options.n_threads);
    let extracted = entries(stream, into, &options.limits, &mut small, on);
    // What a writer met may be what made the reader stop.
    small.finish()?;
    extracted
}

fn entries(
    stream: &mut dyn BufRead,
    into: &Folder,
    limits: &Limits,
    small: &mut SmallFiles,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Extracted, Refused> {
    let mut archive = Archive::new(stream);
    let mut extracted = Extracted::default();
    let mut parent: Option<(String, Arc<Folder>)> = None;
    let mut n_entries = 0;
    while let Some(found) = archive.next()? {
        n_entries += 1;
        if n_entries > limits.max_entries {
            return Err(Refused::Limit {
                what: "the number of entries",
                limit: limits.max_entries,
            });
        }
        if found.kind == Kind::Folder {
            into.create_folders(&found.path)?;
            continue;
        }
        let folder = found.path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        if parent.as_ref().is_none_or(|(path, _)| path != folder) {
            parent = Some((folder.to_owned(), Arc::new(into.create_folders(folder)?)));
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

/// Goes through an archive, reading the stream to its end; `each` takes every file.
pub(crate) fn for_each_file(
    stream: &mut dyn BufRead,
    max_entries: u64,
    each: &mut EachFile<'_>,
) -> Result<(), Refused> {
    let mut archive = Archive::new(stream);
    let mut n_entries = 0;
    while let Some(found) = archive.next()? {
        n_entries += 1;
        if n_entries > max_entries {
            return Err(Refused::Limit { what: "the number of entries", limit: max_entries });
        }
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
