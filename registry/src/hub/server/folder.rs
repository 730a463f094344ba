//! The folder that is served.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fs_err as fs;
use serde_json::{Value, json};

use super::route::Repo;
use crate::Result;
use crate::content::Hasher;
use crate::hub::git_blob::GitBlob;

/// Files from this size on are listed with their SHA-256, like those that hold a zero byte.
const LARGE: u64 = 1024 * 1024;

/// A folder of repositories.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// What was hashed before, by path; it counts as long as size and time stay the same.
    hashed: Mutex<HashMap<PathBuf, (u64, SystemTime, File)>>,
}

/// What a repository holds.
#[derive(Debug)]
pub(super) struct Commit {
    /// 40 digits of hex, derived from the paths and the contents.
    pub(super) sha: String,
    pub(super) files: BTreeMap<String, File>,
}

/// A file of a repository.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) size: u64,
    /// In hex.
    pub(super) sha256: String,
    /// What Git calls the content, in hex.
    git_blob: String,
    pub(super) is_large: bool,
}

impl File {
    /// The name of the content, as Git has it. That of a large file should be of what stands in its
    /// place in Git; there is none, and clients take its SHA-256.
    pub(super) fn oid(&self) -> &str {
        &self.git_blob
    }

    /// The entry of a listing.
    pub(super) fn entry(&self, path: &str) -> Value {
        let mut entry =
            json!({ "type": "file", "oid": self.oid(), "size": self.size, "path": path });
        if self.is_large {
            entry["lfs"] = json!({ "oid": self.sha256, "size": self.size, "pointerSize": 134 });
        }
        entry
    }
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), hashed: Mutex::default() }
    }

    /// Where a repository lies.
    pub(super) fn dir(&self, repo: &Repo) -> PathBuf {
        match repo.is_dataset {
            true => self.root.join("datasets").join(&repo.name),
            false => self.root.join(&repo.name),
        }
    }

    /// Lists and hashes a repository; `None` when there is none.
    pub(super) fn commit(&self, repo: &Repo) -> Result<Option<Commit>> {
        let dir = self.dir(repo);
        if !dir.is_dir() {
            return Ok(None);
        }
        let mut files = BTreeMap::new();
        self.list(&dir, "", &mut files)?;
        // A folder of folders is an organisation, not a model.
        let is_repo = files.keys().any(|path| !path.contains('/'));
        if !is_repo {
            return Ok(None);
        }
        let mut hasher = Hasher::default();
        for (path, file) in &files {
            hasher.update(format!("{path}\0{}\n", file.sha256).as_bytes());
        }
        let sha = hasher.finish().digest()[..40].to_owned();
        Ok(Some(Commit { sha, files }))
    }

    /// Collects the files beneath a folder. Links and hidden entries are not part of a repository,
    /// but for Git's attributes.
    fn list(&self, dir: &Path, prefix: &str, files: &mut BTreeMap<String, File>) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (Ok(name), kind) = (entry.file_name().into_string(), entry.file_type()?) else {
                continue;
            };
            let path = format!("{prefix}{name}");
            if name.starts_with('.') && name != ".gitattributes" {
                continue;
            }
            if kind.is_dir() {
                self.list(&entry.path(), &format!("{path}/"), files)?;
            } else if kind.is_file() {
                files.insert(path, self.hash(&entry.path())?);
            }
        }
        Ok(())
    }

    fn hash(&self, path: &Path) -> Result<File> {
        let metadata = fs::metadata(path)?;
        let key = (metadata.len(), metadata.modified()?);
        let known = self
            .lock()
            .get(path)
            .filter(|(size, time, _)| (*size, *time) == key)
            .map(|(.., file)| file.clone());
        if let Some(file) = known {
            return Ok(file);
        }
        let file = hash(path)?;
        self.lock().insert(path.to_owned(), (key.0, key.1, file.clone()));
        Ok(file)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (u64, SystemTime, File)>> {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(path: &Path) -> Result<File> {
    let mut reader = fs::File::open(path)?;
    let mut blob = GitBlob::new(reader.metadata()?.len());
    let (mut hasher, mut size, mut has_zero) = (Hasher::default(), 0, false);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        // Where Git looks too.
        has_zero |= size == 0 && buffer[..n.min(8000)].contains(&0);
        hasher.update(&buffer[..n]);
        blob.update(&buffer[..n]);
        size += n as u64;
    }
    Ok(File {
        size,
        sha256: hasher.finish().digest().to_owned(),
        git_blob: blob.finish(),
        is_large: size >= LARGE || has_zero,
    })
}
