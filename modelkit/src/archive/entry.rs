//! What goes into an archive.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A file or a folder of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the archive: relative, `/` between the names.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What an entry is, and where its bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A folder.
    Folder,
    /// A file with these bytes.
    Bytes {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A file on disk.
    File(FileOnDisk),
}

/// What a header says that an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    /// A file that may be executed.
    Executable,
}

/// A regular file as it was when packing was planned: it must be the same when it is packed.
///
/// A plan holds one for each file, so it is small: a hundred thousand files are some 15 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOnDisk {
    place: Place,
    pub(crate) stamp: Stamp,
    executable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In this folder, under the entry's own path.
    Within(Arc<Path>),
    At(Box<Path>),
}

/// What tells a file that was changed from one that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// In bytes.
    pub(crate) size: u64,
    /// When it was last written to, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// When its metadata was last changed, which no program can choose; in nanoseconds since 1970.
    pub(crate) changed: i64,
    pub(crate) inode: u64,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

impl Entry {
    /// Where the file lies on disk; none for a folder, and for bytes in memory.
    pub fn source(&self) -> Option<PathBuf> {
        match &self.content {
            Content::File(FileOnDisk { place: Place::Within(folder), .. }) => {
                Some(folder.join(&self.path))
            }
            Content::File(FileOnDisk { place: Place::At(path), .. }) => Some(path.to_path_buf()),
            _ => None,
        }
    }

    /// Opens the file on disk; what it holds counts only once it was [checked](FileOnDisk::check)
    /// after it was read.
    pub(crate) fn open(&self) -> Result<fs::File> {
        let source = self.source().expect("its content is a file on disk");
        let no_follow =
            rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits() as i32;
        Ok(fs::OpenOptions::new().read(true).custom_flags(no_follow).open(source)?)
    }
}

impl FileOnDisk {
    /// Checks that the file is the one that was planned, with the same size and time, so that what
    /// was read of it until now is, too.
    pub(crate) fn check(&self, file: &fs::File) -> Result<()> {
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata);
        let is_same = stamp.size == self.stamp.size && stamp.modified == self.stamp.modified;
        if metadata.is_file() && is_same { Ok(()) } else { Err(changed(file.path())) }
    }
}

/// The error for a file that was written to while it was packed.
pub(crate) fn changed(path: &Path) -> Error {
    Error::Changed { path: path.to_owned() }
}

impl Content {
    /// Describes a regular file that lies at `source`, whatever its name in the archive.
    pub fn file(source: &Path, metadata: &Metadata, executable: bool) -> Self {
        Self::File(FileOnDisk {
            place: Place::At(source.into()),
            stamp: Stamp::of(metadata),
            executable,
        })
    }

    /// Describes a regular file that lies in `folder` under its path in the archive.
    pub(crate) fn within(folder: &Arc<Path>, metadata: &Metadata) -> Self {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        Self::File(FileOnDisk {
            place: Place::Within(Arc::clone(folder)),
            stamp: Stamp::of(metadata),
            executable,
        })
    }

    /// Size of the content in bytes; 0 for a folder.
    pub fn size(&self) -> u64 {
        match self {
            Self::Folder => 0,
            Self::Bytes { bytes, .. } => bytes.len() as u64,
            Self::File(file) => file.stamp.size,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Folder => Kind::Folder,
            _ if self.is_executable() => Kind::Executable,
            _ => Kind::File,
        }
    }

    /// Whether it is a file that may be executed.
    pub fn is_executable(&self) -> bool {
        match self {
            Self::Folder => false,
            Self::Bytes { executable, .. } => *executable,
            Self::File(file) => file.executable,
        }
    }
}

/// Checks that a name is one which every reader takes for the same path beneath the folder it
/// unpacks into.
pub(crate) fn check_name(path: &str) -> Result<()> {
    let problem = problem(path);
    problem.map_or(Ok(()), |problem| {
        Err(Error::Name { path: path.escape_debug().to_string(), problem })
    })
}

/// What is wrong with a name in an archive, if anything.
pub(super) fn problem(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("has no name");
    }
    if path.contains('\0') {
        return Some("has a NUL in its name");
    }
    if path.contains('\\') {
        return Some("has a backslash in its name");
    }
    if path.starts_with('/') {
        return Some("has an absolute name");
    }
    if path.split('/').any(|name| name == "..") {
        return Some("leaves the folder");
    }
    if path.split('/').any(|name| name.is_empty() || name == ".") {
        return Some("has an empty name in its path");
    }
    None
}
