//! Writes a tree below a folder of a disk.

use std::io::Write as _;
use std::path::Path;

use fs_err as fs;

use crate::{Error, Result};

/// Writes one file; it appears by rename, its parents are made.
pub(super) fn file(dir: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::Write { dir: dir.to_owned(), path: path.to_owned(), source };
    let target = dir.join(path);
    refuse_links(dir, path)?;
    let parent = target.parent().unwrap_or(dir);
    fs::create_dir_all(parent).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".kit-").tempfile_in(parent).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    shared(file.as_file()).map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A temporary file is private to its owner; a file of a repository is not.
#[cfg(unix)]
fn shared(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn shared(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Refuses to write through a symbolic link below the folder.
fn refuse_links(dir: &Path, path: &str) -> Result<()> {
    let mut place = dir.to_owned();
    for part in path.split('/') {
        place.push(part);
        if fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(Error::Symlink { path: place });
        }
    }
    Ok(())
}
