//! The folder that is served.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fs_err as fs;
use serde_json::{Value, json};

use super::route::Repo;
use crate::Result;
use crate::content::Hasher;
use crate::hub::git_blob::GitBlob;

/// Files from this size on are listed with their SHA-256, like those that hold a zero byte.
const LARGE: u64 = 1024 * 1024;

/// What a file is said to have in Git that stands for a large one, in bytes.
const POINTER_SIZE: u64 = 134;
/// What the one commit of a repository is called.
pub(super) const TITLE: &str = "The folder as it is";

/// A folder of repositories.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Models that lie elsewhere, by their names.
    elsewhere: BTreeMap<String, PathBuf>,
    /// The last commit of each repository, by its place: all who are sent one share it. Who reads a
    /// repository does so alone; the others wait for what he finds.
    commits: Mutex<HashMap<PathBuf, Arc<Last>>>,
    /// What was hashed before, by path; it counts as long as size and time stay the same.
    hashed: Mutex<HashMap<PathBuf, (u64, SystemTime, File)>>,
}

/// What was read of a repository last.
type Last = tokio::sync::Mutex<Option<Arc<Commit>>>;

/// What a repository holds.
#[derive(Debug)]
pub(super) struct Commit {
    /// 40 digits of hex, derived from the paths and the contents.
    pub(super) sha: String,
    pub(super) files: BTreeMap<String, File>,
    /// When the youngest file was changed.
    pub(super) modified: SystemTime,
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

    /// The entry of a description of the whole repository.
    pub(super) fn sibling(&self, path: &str, has_blobs: bool) -> Value {
        let mut sibling = json!({ "rfilename": path });
        if has_blobs {
            sibling["size"] = self.size.into();
            sibling["blobId"] = self.oid().into();
        }
        if has_blobs && self.is_large {
            let (sha256, size) = (&self.sha256, self.size);
            sibling["lfs"] = json!({ "sha256": sha256, "size": size, "pointerSize": POINTER_SIZE });
        }
        sibling
    }

    /// The entry of a listing.
    pub(super) fn entry(&self, path: &str) -> Value {
        let mut entry =
            json!({ "type": "file", "oid": self.oid(), "size": self.size, "path": path });
        if self.is_large {
            entry["lfs"] =
                json!({ "oid": self.sha256, "size": self.size, "pointerSize": POINTER_SIZE });
        }
        entry
    }
}

impl Folder {
    pub(super) fn new(root: &Path, elsewhere: BTreeMap<String, PathBuf>) -> Self {
        let (commits, hashed) = (Mutex::default(), Mutex::default());
        Self { root: root.to_owned(), elsewhere, commits, hashed }
    }

    /// Where a repository lies; `None` when there is none, or when a link leads out of the root.
    pub(super) fn dir(&self, repo: &Repo) -> Option<PathBuf> {
        if let Some(dir) = self.elsewhere.get(&repo.name).filter(|_| !repo.is_dataset) {
            return Some(dir.clone());
        }
        let root = fs::canonicalize(&self.root).ok()?;
        let dir = fs::canonicalize(self.top(repo.is_dataset).join(&repo.name)).ok()?;
        (dir.starts_with(&root) && dir.is_dir()).then_some(dir)
    }

    fn top(&self, is_dataset: bool) -> PathBuf {
        if is_dataset { self.root.join("datasets") } else { self.root.clone() }
    }

    /// Every repository of a kind, in any order.
    pub(super) fn repos(&self, is_dataset: bool) -> Result<Vec<Repo>> {
        let mut found: Vec<Repo> = match is_dataset {
            true => Vec::new(),
            false => self.elsewhere.keys().filter_map(|name| Repo::new(name, false)).collect(),
        };
        for name in folders_in(&self.top(is_dataset))? {
            let is_apart = !is_dataset && name == "datasets";
            let Some(repo) = Repo::new(&name, is_dataset).filter(|_| !is_apart) else { continue };
            let Some(dir) = self.dir(&repo) else { continue };
            if has_files(&dir)? {
                found.push(repo);
                continue;
            }
            for inner in folders_in(&dir)? {
                let Some(repo) = Repo::new(&format!("{name}/{inner}"), is_dataset) else {
                    continue;
                };
                if let Some(dir) = self.dir(&repo)
                    && has_files(&dir)?
                {
                    found.push(repo);
                }
            }
        }
        Ok(found)
    }

    /// Lists and hashes a repository; `None` when there is none.
    pub(super) async fn commit(self: Arc<Self>, repo: &Repo) -> Result<Option<Arc<Commit>>> {
        let Some(dir) = self.dir(repo) else { return Ok(None) };
        let last = {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            commits.entry(dir.clone()).or_default().clone()
        };
        let mut last = last.lock_owned().await;
        let reading = tokio::task::spawn_blocking(move || -> Result<_> {
            let found = self.read(&dir)?;
            let is_same = |last: &Commit, found: &Commit| {
                (&last.sha, last.modified) == (&found.sha, found.modified)
            };
            if !last.as_deref().zip(found.as_ref()).is_some_and(|(a, b)| is_same(a, b)) {
                *last = found.map(Arc::new);
            }
            Ok(last.clone())
        });
        reading.await.expect("reading a folder does not panic")
    }

    fn read(&self, dir: &Path) -> Result<Option<Commit>> {
        let (mut files, mut modified) = (BTreeMap::new(), UNIX_EPOCH);
        self.list(dir, "", &mut files, &mut modified)?;
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
        Ok(Some(Commit { sha, files, modified }))
    }

    /// Collects the files beneath a folder. Links and hidden entries are not part of a repository,
    /// but for Git's attributes.
    fn list(
        &self,
        dir: &Path,
        prefix: &str,
        files: &mut BTreeMap<String, File>,
        modified: &mut SystemTime,
    ) -> Result<()> {
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
                self.list(&entry.path(), &format!("{path}/"), files, modified)?;
            } else if kind.is_file() {
                *modified = (*modified).max(entry.metadata()?.modified()?);
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

/// The names of the folders in a folder; links to folders are among them.
fn folders_in(dir: &Path) -> Result<Vec<String>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().is_dir() {
            found.extend(entry.file_name().into_string());
        }
    }
    Ok(found)
}

/// Says whether a folder has a file that is not hidden, which makes it a repository.
fn has_files(dir: &Path) -> Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.file_type()?.is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}
