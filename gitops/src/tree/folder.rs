//! A folder of a tree; what is in it is listed and read when it is asked for, once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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
    /// A symbolic link of a disk: where it ends within the tree, without further links; none when
    /// it leaves.
    Link(Option<String>),
    /// A symbolic link as it is written, from the folder that it stands in.
    Written(String),
}

/// A file with its path within the tree.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    source: Source,
    /// Shared by all clones.
    content: Arc<OnceLock<Content>>,
}

/// Where the content of a file comes from when it is asked for.
#[derive(Clone, Debug)]
enum Source {
    /// It was there from the start.
    Memory,
    Disk(PathBuf),
    Later(Later),
}

/// What a file holds that is read when it is asked for.
#[derive(Clone)]
pub struct Later {
    /// What tells this content from every other, such as a digest.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Reads it.
    pub read: Arc<dyn Fn() -> std::io::Result<Vec<u8>> + Send + Sync>,
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later").field("id", &self.id).finish_non_exhaustive()
    }
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
        let disk = Disk { root: fs::canonicalize(dir).map_err(failed)?, path: String::new() };
        let entries = OnceLock::from(disk.list().map_err(failed)?);
        Ok(Self { disk: Some(disk), entries })
    }

    /// The folder at a path, made where there is none; a file in the way goes.
    pub(super) fn make(&mut self, path: &str) -> &mut Self {
        let mut folder = self;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let entry = folder.entries_mut().entry(part.to_owned());
            let entry = entry.or_insert_with(|| Entry::Folder(Self::default()));
            if !matches!(entry, Entry::Folder(_)) {
                *entry = Entry::Folder(Self::default());
            }
            folder = match entry {
                Entry::Folder(inner) => inner,
                _ => unreachable!("made a folder above"),
            };
        }
        folder
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
                Entry::File(File::of_disk(path, entry.path()))
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

/// What stands at a path of a disk, if it is a file or a link.
pub(super) fn at(root: &Path, path: &str) -> Option<Entry> {
    let disk = Disk { root: root.to_owned(), path: String::new() };
    let place = root.join(path);
    let kind = fs::symlink_metadata(&place).ok()?.file_type();
    if kind.is_symlink() {
        return Some(Entry::Link(disk.target(&place)));
    }
    kind.is_file().then(|| Entry::File(File::of_disk(path.to_owned(), place)))
}

impl File {
    pub(super) fn of_text(path: String, text: String) -> Self {
        Self { path, source: Source::Memory, content: filled(Content::Text(text)) }
    }

    pub(super) fn of_bytes(path: String, bytes: Vec<u8>) -> Self {
        Self { path, source: Source::Memory, content: filled(Content::new(bytes)) }
    }

    pub(super) fn of_disk(path: String, place: PathBuf) -> Self {
        Self { path, source: Source::Disk(place), content: Arc::default() }
    }

    pub(super) fn of_later(path: String, later: Later) -> Self {
        Self { path, source: Source::Later(later), content: Arc::default() }
    }

    /// Whether another file holds the same; one that is known by an id is not read for it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Later(a), Source::Later(b)) => a.id == b.id,
            _ => self.size() == other.size() && self.content() == other.content(),
        }
    }

    /// What stands in it, read now if it has not been.
    pub(super) fn content(&self) -> &Content {
        self.content.get_or_init(|| {
            let read = match &self.source {
                Source::Memory => Ok(Content::Text(String::new())),
                Source::Disk(path) => read(path),
                Source::Later(later) => (later.read)().map(Content::new),
            };
            read.unwrap_or_else(|error| Content::Unread(error.to_string()))
        })
    }

    /// Its size in bytes, without reading it.
    pub(super) fn size(&self) -> u64 {
        match (self.content.get(), &self.source) {
            (Some(Content::Text(text)), _) => text.len() as u64,
            (Some(Content::Bytes(bytes)), _) => bytes.len() as u64,
            (_, Source::Disk(path)) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            (_, Source::Later(later)) => later.size,
            (_, Source::Memory) => 0,
        }
    }
}

fn filled(content: Content) -> Arc<OnceLock<Content>> {
    Arc::new(OnceLock::from(content))
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
