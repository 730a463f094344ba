//! What goes into an archive.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

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
    File {
        /// Where it lies.
        source: PathBuf,
        /// Its size in bytes; packing fails if it has another one by then.
        size: u64,
        /// When it was last written to; packing fails if that has changed by then.
        modified: Option<SystemTime>,
        /// Whether it may be executed.
        executable: bool,
    },
}

impl Content {
    /// Describes a regular file that lies at `source`.
    pub fn file(source: PathBuf, metadata: &Metadata) -> Self {
        Self::File {
            source,
            size: metadata.len(),
            modified: metadata.modified().ok(),
            executable: metadata.permissions().mode() & 0o100 != 0,
        }
    }

    /// Size of the content in bytes; 0 for a folder.
    pub fn size(&self) -> u64 {
        match self {
            Self::Folder => 0,
            Self::Bytes { bytes, .. } => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    pub(super) fn is_executable(&self) -> bool {
        matches!(self, Self::Bytes { executable: true, .. } | Self::File { executable: true, .. })
    }
}

/// Checks that a name is one which every reader takes for the same path beneath the folder it unpacks into.
pub(crate) fn check_name(path: &str) -> Result<()> {
    let problem = problem(path);
    problem.map_or(Ok(()), |problem| Err(Error::Name { path: path.escape_debug().to_string(), problem }))
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
