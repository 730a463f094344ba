//! Folders whose paths cannot lead out: every name is resolved beneath them, and through no
//! symbolic link.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::Refused;
use crate::staging::fault;

/// Bytes that are compared at once.
const CHUNK: usize = 64 * 1024;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// A folder that was opened once; what happens to its path afterwards does not matter.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder of the caller's choice; this path alone may lead through symbolic links.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, FOLDER, Mode::empty())
            .map_err(|error| named("open folder", path, error))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Where the folder was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder beneath this one; a symbolic link anywhere on the way is an error.
    pub fn folder(&self, path: &str) -> io::Result<Self> {
        fault::point()?;
        let full = self.path.join(path);
        match open_beneath(&self.fd, path) {
            Ok(fd) => Ok(Self { fd, path: full }),
            Err(error) => Err(named("open folder", &full, error)),
        }
    }

    /// Opens a folder beneath this one, and makes it and its parents where they are missing.
    pub fn create_folders(&self, path: &str) -> io::Result<Self> {
        Ok(self.create_folders_counted(path)?.0)
    }

    /// Does so, and says how many were missing.
    pub(super) fn create_folders_counted(&self, path: &str) -> io::Result<(Self, u64)> {
        match self.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return Ok((opened?, 0)),
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut folder = None;
        let mut n_made = 0;
        for end in ends {
            let (parent, name) = path[..end].rsplit_once('/').unwrap_or(("", &path[..end]));
            let within = folder.as_ref().unwrap_or(self);
            debug_assert!(parent.is_empty() || within.path.ends_with(parent));
            n_made += u64::from(within.create_folder(name)?);
            folder = Some(within.folder(name)?);
        }
        Ok((folder.map_or_else(|| self.folder("."), Ok)?, n_made))
    }

    /// Makes a folder, and says whether it was missing.
    fn create_folder(&self, name: &str) -> io::Result<bool> {
        fault::point()?;
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(named("make folder", &self.path.join(name), error)),
        }
    }

    /// Makes a file in this folder; it must not be there yet.
    pub fn create_file(&self, name: &str, executable: bool) -> io::Result<std::fs::File> {
        fault::point()?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        match rustix::fs::openat(&self.fd, name, flags, mode) {
            Ok(fd) => Ok(fd.into()),
            Err(error) => Err(named("make file", &self.path.join(name), error)),
        }
    }

    /// Makes the file of an archive's entry, whose path ends in this folder.
    pub(super) fn create_entry(
        &self,
        path: &str,
        executable: bool,
    ) -> Result<std::fs::File, Refused> {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        match self.create_file(name, executable) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let name = path.escape_debug().to_string();
                Err(Refused::Entry { name, problem: "is there twice" })
            }
            made => Ok(made?),
        }
    }

    /// What lies under a name in this folder, if anything; links are not followed.
    pub fn kind(&self, name: &str) -> io::Result<Option<FileType>> {
        Ok(self.look_at(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// What tells that which lies under a name from everything else: its device and its inode.
    pub(crate) fn identity(&self, name: &str) -> io::Result<Option<(u64, u64)>> {
        Ok(self.look_at(name)?.map(|stat| (stat.st_dev, stat.st_ino)))
    }

    fn look_at(&self, name: &str) -> io::Result<Option<rustix::fs::Stat>> {
        fault::point()?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(named("look at", &self.path.join(name), error)),
        }
    }

    /// Moves an entry of another folder here, in place of a file of that name or as a new name.
    pub fn take(&self, from: &Self, name: &str) -> io::Result<()> {
        self.take_as(from, name, name)
    }

    /// Does so under another name.
    pub(crate) fn take_as(&self, from: &Self, old_name: &str, name: &str) -> io::Result<()> {
        fault::point()?;
        rustix::fs::renameat(&from.fd, old_name, &self.fd, name)
            .map_err(|error| named("move into place", &self.path.join(name), error))
    }

    /// Moves an entry of another folder here as a new name, which nobody may have taken meanwhile.
    pub(crate) fn take_new(&self, from: &Self, old_name: &str, name: &str) -> io::Result<()> {
        fault::point()?;
        match rename_new(&from.fd, old_name, &self.fd, name) {
            Ok(()) => Ok(()),
            // File systems that cannot promise it are looked at first.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match self.kind(name)? {
                None => self.take_as(from, old_name, name),
                Some(_) => Err(named("move into place", &self.path.join(name), Errno::EXIST)),
            },
            Err(error) => Err(named("move into place", &self.path.join(name), error)),
        }
    }

    /// Gives a file of another folder a second name here, or, where file systems have no such
    /// thing, a copy.
    pub(crate) fn keep(&self, from: &Self, old_name: &str, name: &str) -> io::Result<()> {
        fault::point()?;
        match rustix::fs::linkat(&from.fd, old_name, &self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(_) => self.copy(from, old_name, name),
        }
    }

    /// Copies a file of another folder here, as a new name.
    pub(crate) fn copy(&self, from: &Self, old_name: &str, name: &str) -> io::Result<()> {
        let mut source = from.open_file(old_name)?;
        let mode = rustix::fs::fstat(&source)?.st_mode;
        let mut copy = self.create_file(name, mode & 0o100 != 0)?;
        io::copy(&mut source, &mut copy)?;
        Ok(rustix::fs::fchmod(&copy, Mode::from_raw_mode(mode & 0o777))?)
    }

    /// Whether a file of this folder is the same as that of another: its bytes, and whether it may
    /// be executed.
    pub(crate) fn has_same(&self, other: &Self, name: &str) -> io::Result<bool> {
        let (mut own, mut theirs) = (self.open_file(name)?, other.open_file(name)?);
        let about = |file: &std::fs::File| {
            let metadata = file.metadata()?;
            Ok::<_, io::Error>((metadata.len(), metadata.permissions().mode() & 0o100))
        };
        if about(&own)? != about(&theirs)? {
            return Ok(false);
        }
        let mut chunks = [vec![0; CHUNK], vec![0; CHUNK]];
        loop {
            let [a, b] = &mut chunks;
            let n = own.read(a)?;
            if n == 0 {
                return Ok(true);
            }
            match theirs.read_exact(&mut b[..n]) {
                Ok(()) if a[..n] == b[..n] => {}
                Ok(()) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn open_file(&self, name: &str) -> io::Result<std::fs::File> {
        fault::point()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(fd.into()),
            Err(error) => Err(named("read", &self.path.join(name), error)),
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn rename_new(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(from, old, to, new, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn rename_new(_: &OwnedFd, _: &str, _: &OwnedFd, _: &str) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// Puts a path into an error of the operating system.
fn named(doing: &str, path: &Path, error: Errno) -> io::Error {
    let source = io::Error::from(error);
    io::Error::new(source.kind(), format!("cannot {doing} {}: {source}", path.display()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_beneath(folder: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(folder, path, FOLDER, Mode::empty(), resolve) {
        // Kernels before 5.6 do not have it; some sandboxes say EPERM for every call that they do
        // not know.
        Err(Errno::NOSYS | Errno::PERM) => walk_beneath(folder, path),
        opened => opened,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_beneath(folder: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    walk_beneath(folder, path)
}

/// Opens a folder name by name.
fn walk_beneath(folder: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    if path.starts_with('/') {
        return Err(Errno::XDEV);
    }
    let open = |within: &OwnedFd, name| {
        rustix::fs::openat(within, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())
    };
    let mut here = open(folder, ".")?;
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." {
            return Err(Errno::XDEV);
        }
        here = open(&here, name)?;
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn both_ways_of_opening_refuse_what_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink("a", root.path().join("within")).unwrap();
        let folder = Folder::open(root.path()).unwrap();
        for open in [open_beneath, walk_beneath] {
            assert!(open(&folder.fd, "a/b").is_ok());
            assert!(open(&folder.fd, ".").is_ok());
            for path in ["out", "within", "within/b", "..", "a/../..", "/", "/tmp", "missing"] {
                assert!(open(&folder.fd, path).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn folders_are_made_with_their_parents() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        folder.create_folders("a/b/c").unwrap();
        folder.create_folders("a/b/d").unwrap();
        folder.create_folders("a").unwrap();
        assert!(root.path().join("a/b/c").is_dir() && root.path().join("a/b/d").is_dir());
    }

    #[test]
    fn no_folder_is_made_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        let folder = Folder::open(root.path()).unwrap();
        assert!(folder.create_folders("out/a").is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
