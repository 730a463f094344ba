//! A folder of a tree; what is in it is listed and read when it is asked for, once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;

use super::path::join;
use crate::{Error, Result};

/// Files of more bytes than this are never taken into memory.
const MAX_FILE: u64 = 256 << 20;

/// A folder: its entries by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    /// Where it lies on a disk; none for a folder that was made in memory.
    disk: Option<Disk>,
    entries: OnceLock<BTreeMap<String, Entry>>,
}

/// Where a folder of a tree lies on a disk.
#[derive(Clone, Debug)]
struct Disk {
    /// The root of the whole tree, without links.
    root: PathBuf,
    /// This folder's path within it.
    path: String,
}

/// What stands at a name.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Folder(Folder),
    File(File),
    /// A symbolic link: where it ends within the tree, without further links; none when it leaves.
    Link(Option<String>),
}

/// A file with its path within the tree.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    disk: Option<PathBuf>,
    content: OnceLock<Content>,
}

/// What stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    Bytes(Vec<u8>),
    /// Why it could not be read.
    Unread(String),
}

impl Folder {
    /// A folder of a disk as the root of a tree.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let failed = |source| Error::Read { dir: dir.to_owned(), source };
        let root = fs::canonicalize(dir).map_err(failed)?;
        let disk = Disk { root, path: String::new() };
        let entries = OnceLock::from(disk.list().map_err(failed)?);
        Ok(Self { disk: Some(disk), entries })
    }

    /// The entries; a folder that cannot be listed has none.
    pub(super) fn entries(&self) -> &BTreeMap<String, Entry> {
        self.entries.get_or_init(|| {
            self.disk.as_ref().and_then(|disk| disk.list().ok()).unwrap_or_default()
        })
    }

    pub(super) fn entries_mut(&mut self) -> &mut BTreeMap<String, Entry> {
        self.entries();
        self.entries.get_mut().expect("listed in the line above")
    }
}

impl Disk {
    fn list(&self) -> std::io::Result<BTreeMap<String, Entry>> {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(self.root.join(&self.path))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = join(&self.path, &name);
            let made = if kind.is_symlink() {
                Entry::Link(self.target(&entry.path()))
            } else if kind.is_dir() && name != ".git" {
                let disk = Self { root: self.root.clone(), path };
                Entry::Folder(Folder { disk: Some(disk), entries: OnceLock::new() })
            } else if kind.is_file() {
                Entry::File(File { path, disk: Some(entry.path()), content: OnceLock::new() })
            } else {
                continue;
            };
            entries.insert(name, made);
        }
        Ok(entries)
    }

    /// Where a link ends, all links followed, as a path within the tree.
    fn target(&self, link: &Path) -> Option<String> {
        let end = fs::canonicalize(link).ok()?;
        let within = end.strip_prefix(&self.root).ok()?;
        let parts: Option<Vec<&str>> = within.iter().map(|part| part.to_str()).collect();
        Some(parts?.join("/")).filter(|path| !path.split('/').any(|part| part == ".git"))
    }
}

impl File {
    pub(super) fn of_text(path: String, text: String) -> Self {
        Self { path, disk: None, content: OnceLock::from(Content::Text(text)) }
    }

    pub(super) fn of_bytes(path: String, bytes: Vec<u8>) -> Self {
        Self { path, disk: None, content: OnceLock::from(Content::new(bytes)) }
    }

    /// What stands in it, read now if it has not been.
    pub(super) fn content(&self) -> &Content {
        self.content.get_or_init(|| match &self.disk {
            Some(path) => read(path).unwrap_or_else(|error| Content::Unread(error.to_string())),
            None => Content::Text(String::new()),
        })
    }

    /// Its size in bytes, without reading it.
    pub(super) fn size(&self) -> u64 {
        match (self.content.get(), &self.disk) {
            (Some(Content::Text(text)), _) => text.len() as u64,
            (Some(Content::Bytes(bytes)), _) => bytes.len() as u64,
            (_, Some(path)) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            (_, None) => 0,
        }
    }
}

impl Content {
    fn new(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

fn read(path: &Path) -> std::io::Result<Content> {
    let size = fs::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(std::io::Error::other(format!("{size} bytes are more than {MAX_FILE}")));
    }
    fs::read(path).map(Content::new)
}
