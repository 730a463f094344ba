//! Where an import's files are.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use registry::Listener;
use registry::hub::{Hub, HubFile, Snapshot};

use crate::env;

/// Where files are until they are packed. It outlives the process, so that a download that was
/// killed goes on.
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

    pub(super) fn kept(path: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&path)?;
        let lock = fs::File::create(path.with_extension("lock"))?;
        lock.file()
            .try_lock()
            .with_context(|| format!("another process imports into {}", path.display()))?;
        Ok(Self { path, _lock: Some(lock), _temporary: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder beside it for what is on its way, which is taken away with it: nothing unfinished
    /// is ever packed.
    pub(super) fn arriving(&self) -> PathBuf {
        self.path.with_extension("arriving")
    }

    /// Brings a file to its place; what has come of it when the process is killed lies outside of
    /// what is packed.
    pub(super) async fn fetch(
        &self,
        hub: &Hub,
        snapshot: &Snapshot,
        file: &HubFile,
        on: Listener<'_>,
    ) -> anyhow::Result<()> {
        let (arriving, place) = (self.arriving(), self.path.join(&file.path));
        hub.download(snapshot, file, &arriving, on).await?;
        fs::create_dir_all(place.parent().context("a file lies in a folder")?)?;
        Ok(fs::rename(arriving.join(&file.path), place)?)
    }

    pub(super) fn remove(self) -> anyhow::Result<()> {
        if self._temporary.is_none() {
            fs::remove_dir_all(&self.path)?;
            if self.arriving().exists() {
                fs::remove_dir_all(self.arriving())?;
            }
            fs::remove_file(self.path.with_extension("lock"))?;
        }
        Ok(())
    }
}
