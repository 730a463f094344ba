//! Brings the files of a repository on a hub.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::hub::{Hub, HubFile, RepoId, Snapshot};

use super::{Args, Brought, is_wanted};
use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::ui::Ui;

/// Hugging Face's own hub.
const HUB: &str = "https://huggingface.co";

/// Where files are until they are packed. It outlives the process, so that a download that was killed goes on.
pub(super) struct Folder {
    path: PathBuf,
    /// Held as long as this process uses the folder.
    _lock: Option<fs::File>,
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// One that nobody goes on with.
    pub(super) fn temporary() -> anyhow::Result<Self> {
        let temporary = env::temporary_folder()?;
        Ok(Self { path: temporary.path().to_owned(), _lock: None, _temporary: Some(temporary) })
    }

    fn kept(path: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&path)?;
        let lock = fs::File::create(path.with_extension("lock"))?;
        lock.file().try_lock().with_context(|| format!("another process imports into {}", path.display()))?;
        Ok(Self { path, _lock: Some(lock), _temporary: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn remove(self) -> anyhow::Result<()> {
        if self._temporary.is_none() {
            fs::remove_dir_all(&self.path)?;
            fs::remove_file(self.path.with_extension("lock"))?;
        }
        Ok(())
    }
}

pub(super) fn bring(args: &Args, ui: &Ui) -> anyhow::Result<Brought> {
    let repository: RepoId =
        args.repository.parse().map_err(|error| asked_wrongly(format!("{}: {error}", args.repository)))?;
    let endpoint =
        env::hf_endpoint().or_else(|| repository.endpoint().map(str::to_owned)).unwrap_or_else(|| HUB.to_owned());
    let revision = args.revision.as_deref().or(repository.revision()).unwrap_or("main");
    let hub = Hub::new(&endpoint, args.token.clone().or_else(env::hf_token))?;
    let bringing = async {
        let mut snapshot = hub.files(&repository, revision).await?;
        snapshot.files.retain(|file| is_wanted(&file.path, args));
        if snapshot.files.is_empty() {
            return Err(asked_wrongly("the repository has no files, or none that --include and --exclude leave"));
        }
        let key = registry::content::digest(format!("{endpoint}\n{repository}\n{}", snapshot.sha).as_bytes());
        let folder = Folder::kept(ui.home().importing().join(&key.digest()[..32]))?;
        forget_others(&folder.path, &snapshot)?;
        download(&hub, &snapshot, &folder.path, args.concurrency, ui).await?;
        Ok((folder, snapshot.sha))
    };
    let (folder, commit) = ui
        .block_on(bringing)
        .with_context(|| format!("cannot import {repository} from {endpoint}"))
        .hint("HF_ENDPOINT names another hub, HF_TOKEN (or --token) opens private and gated models")?;
    Ok(Brought { folder, name: repository.name().to_owned(), commit })
}

/// Several files at once; each of them is verified.
async fn download(hub: &Hub, snapshot: &Snapshot, into: &Path, n_at_once: u8, ui: &Ui) -> anyhow::Result<()> {
    let files = stream::iter(&snapshot.files).map(anyhow::Ok);
    files.try_for_each_concurrent(usize::from(n_at_once), |file| one(hub, snapshot, file, into, ui)).await
}

async fn one(hub: &Hub, snapshot: &Snapshot, file: &HubFile, into: &Path, ui: &Ui) -> anyhow::Result<()> {
    // It got its name after it was verified.
    if fs::metadata(into.join(&file.path)).is_ok_and(|found| found.is_file() && found.len() == file.size) {
        return Ok(());
    }
    let bar = ui.bytes_bar(&file.path, file.size);
    hub.download(snapshot, file, into, &|bytes| bar.set_position(bytes)).await?;
    bar.finish_and_clear();
    Ok(())
}

/// Takes files away that an earlier import with other patterns left.
fn forget_others(dir: &Path, snapshot: &Snapshot) -> anyhow::Result<()> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(dir)?.to_string_lossy().into_owned();
            let belongs = |file: &HubFile| name == file.path || name.starts_with(&format!("{}.", file.path));
            if !snapshot.files.iter().any(belongs) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}
