//! Brings trees of our own together, before anybody sees them.

use std::path::Path;

use fs_err as fs;
use rustix::fs::FileType;

use super::Existing;
use crate::archive::{Extracted, Folder};
use crate::error::{Error, Result};

/// Moves all that is in one folder into another, both of our own; returns what was left behind
/// because it was there already.
pub(crate) fn merge(from: &Folder, to: &Folder, existing: Existing) -> Result<Extracted> {
    let mut skipped = Extracted::default();
    take(from, to, existing, &mut skipped)?;
    Ok(skipped)
}

fn take(from: &Folder, to: &Folder, existing: Existing, skipped: &mut Extracted) -> Result<()> {
    for_each(from, |name, is_folder, source| {
        let Some(found) = to.kind(name)? else { return Ok(to.take(from, name)?) };
        let path = to.path().join(name);
        if is_folder || found == FileType::Directory {
            check_kind(&path, found, is_folder)?;
            return take(&from.folder(name)?, &to.folder(name)?, existing, skipped);
        }
        match existing {
            Existing::Refuse => Err(Error::Exists { path }),
            Existing::Keep => {
                skipped.n_files += 1;
                skipped.bytes += fs::symlink_metadata(source)?.len();
                Ok(())
            }
            Existing::Replace => Ok(to.take(from, name)?),
        }
    })
}

/// Calls `each` with the name, whether it is a folder, and the path, of all that is in a folder of
/// our own, in the order of the names.
pub(super) fn for_each(
    folder: &Folder,
    mut each: impl FnMut(&str, bool, &Path) -> Result<()>,
) -> Result<()> {
    let mut items = fs::read_dir(folder.path())?.collect::<Result<Vec<_>, _>>()?;
    items.sort_by_key(fs::DirEntry::file_name);
    for item in items {
        let name = item.file_name();
        let name = name.to_str().expect("names that are not UTF-8 were refused");
        each(name, item.file_type()?.is_dir(), &item.path())?;
    }
    Ok(())
}

/// A file comes only where a file is, a folder only where a folder is.
pub(super) fn check_kind(path: &Path, found: FileType, is_folder: bool) -> Result<()> {
    let expected = if is_folder { FileType::Directory } else { FileType::RegularFile };
    match found == expected {
        true => Ok(()),
        false => Err(Error::InTheWay {
            path: path.to_owned(),
            found: describe(found),
            expected: describe(expected),
        }),
    }
}

fn describe(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        _ => "a special file",
    }
}
