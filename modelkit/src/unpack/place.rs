//! Moves a tree of files to where it belongs.

use std::path::Path;

use fs_err as fs;
use rustix::fs::FileType;

use crate::archive::{Extracted, Folder};
use crate::error::{Error, Result};

/// What becomes of a file that is there already; a Kitfile with the same bytes always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is an error, and nothing is unpacked.
    #[default]
    Refuse,
    /// It stays as it is, whatever is in it. Another Kitfile is an error all the same.
    Keep,
    /// It is replaced, another Kitfile too.
    Replace,
}

/// Moves all that is in one folder into another of the same file system; returns what was left
/// behind because it was there already. Everything is looked at first, so that what stands in the
/// way of one file stops all of them.
pub(crate) fn merge(from: &Folder, to: &Folder, existing: Existing) -> Result<Extracted> {
    check(from, to, existing)?;
    let mut skipped = Extracted::default();
    take(from, to, existing, &mut skipped)?;
    Ok(skipped)
}

fn check(from: &Folder, to: &Folder, existing: Existing) -> Result<()> {
    for_each(from, |name, is_folder, _| {
        let Some(found) = to.kind(name)? else { return Ok(()) };
        let path = to.path().join(name);
        let expected = if is_folder { FileType::Directory } else { FileType::RegularFile };
        if found != expected {
            return Err(Error::InTheWay {
                path,
                found: describe(found),
                expected: describe(expected),
            });
        }
        if is_folder {
            return check(&from.folder(name)?, &to.folder(name)?, existing);
        }
        if existing == Existing::Refuse { Err(Error::Exists { path }) } else { Ok(()) }
    })
}

fn take(from: &Folder, to: &Folder, existing: Existing, skipped: &mut Extracted) -> Result<()> {
    for_each(from, |name, is_folder, source| {
        let is_there = to.kind(name)?.is_some();
        if is_there && is_folder {
            return take(&from.folder(name)?, &to.folder(name)?, existing, skipped);
        }
        if is_there && existing == Existing::Keep {
            skipped.n_files += 1;
            skipped.bytes += fs::symlink_metadata(source)?.len();
            return Ok(());
        }
        Ok(to.take(from, name)?)
    })
}

/// Calls `each` with the name, whether it is a folder, and the path, of all that is in a folder of
/// our own.
fn for_each(folder: &Folder, mut each: impl FnMut(&str, bool, &Path) -> Result<()>) -> Result<()> {
    for item in fs::read_dir(folder.path())? {
        let item = item?;
        let name = item.file_name();
        let name = name.to_str().expect("names that are not UTF-8 were refused");
        each(name, item.file_type()?.is_dir(), &item.path())?;
    }
    Ok(())
}

fn describe(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        _ => "a special file",
    }
}
