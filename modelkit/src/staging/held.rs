//! Folders of ours within somebody else's: locked while they are in use, found and taken away when
//! they are not.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{STAGING, fault};

/// Who sweeps at the same moment takes a new folder away before it is locked; not so many times.
const MAX_TRIES: usize = 16;

/// Nobody else looks into it; and no archive and no checkout gives a folder these rights.
const RIGHTS: u32 = 0o700;

/// A folder of ours. It goes when this value does.
#[derive(Debug)]
pub(super) struct Held {
    path: PathBuf,
    _lock: OwnedFd,
    /// What it holds is still needed.
    stays: bool,
}

impl Held {
    /// Makes a folder within another.
    pub(super) fn make(within: &Path) -> io::Result<Self> {
        for _ in 0..MAX_TRIES {
            fault::point()?;
            let mut builder = tempfile::Builder::new();
            builder.prefix(STAGING).permissions(PermissionsExt::from_mode(RIGHTS));
            let name = builder.tempdir_in(within)?.keep();
            let path = within.join(name.file_name().expect("it has a name"));
            match open(&path) {
                Ok(lock) if lock_is_ours(&lock) && is_at(&lock, &path) => {
                    return Ok(Self { path, _lock: lock, stays: false });
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other(format!("cannot keep a folder in {}", within.display())))
    }

    /// Takes over a folder that a process left which is no more; none where it is somebody's, or is
    /// not of our making.
    pub(super) fn left(path: PathBuf) -> Option<Self> {
        let lock = open(&path).ok()?;
        let stat = rustix::fs::fstat(&lock).ok()?;
        // A folder whose group is passed on passes the bit for that on, too.
        let is_ours =
            stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o5777 == RIGHTS;
        let is_free = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        // A value that is made is dropped, and then the folder goes.
        (is_ours && is_free).then(|| Self { path, _lock: lock, stays: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is.
    pub(super) fn stay(&mut self) {
        self.stays = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.stays && !fault::is_killed() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// All folders that were left in another.
pub(super) fn left_in(within: &Path) -> io::Result<Vec<Held>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(within)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(STAGING.as_bytes()) {
            found.extend(Held::left(entry.path()));
        }
    }
    Ok(found)
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Locks it, unless somebody else has. Where a file system has no locks, nobody sweeps either.
fn lock_is_ours(folder: &OwnedFd) -> bool {
    rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// Whether the folder is still at its path.
fn is_at(folder: &OwnedFd, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (rustix::fs::fstat(folder), rustix::fs::lstat(path)) else {
        return false;
    };
    (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
}
