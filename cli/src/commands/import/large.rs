//! Large files go from the hub into the layout without lying anywhere else: as the layers that they
//! become.

use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use modelkit::archive::around;
use modelkit::{Plan, ReadyLayer};
use registry::Layout;
use registry::hub::{Frame, Hub, HubFile, Snapshot};

use super::folder::Folder;
use super::hub::with_advice;
use crate::steps::bars::move_on;
use crate::steps::survey::head;
use crate::ui::Ui;

/// From this size on, in bytes, a file is worth it; smaller ones are downloaded into the folder
/// first.
const LARGE: u64 = 16 * 1024 * 1024;

/// Large files of a repository; in the folder each has a place with its size and its beginning.
pub(super) struct Large {
    pub(super) hub: Hub,
    pub(super) snapshot: Snapshot,
    pub(super) files: Vec<HubFile>,
    pub(super) n_at_once: usize,
}

/// Tells the large files from the small ones; a large one that an earlier import has brought into
/// the folder is among neither. What is read here, and not only packed, is small.
pub(super) fn divide(
    files: &[HubFile],
    folder: &Path,
    is_read: impl Fn(&str) -> bool,
) -> anyhow::Result<(Vec<HubFile>, Vec<HubFile>)> {
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for file in files {
        match file.sha256.is_some() && file.size > LARGE && !is_read(&file.path) {
            // Its place has its size, too: only the digest tells.
            true if file.is_at(&folder.join(&file.path))? => {}
            true => large.push(file.clone()),
            false => small.push(file.clone()),
        }
    }
    Ok((large, small))
}

/// Puts a file's beginning where it would be, with nothing behind it: enough to guess the Kitfile
/// from, and to plan.
pub(super) async fn hold_place(
    hub: &Hub,
    snapshot: &Snapshot,
    file: &HubFile,
    folder: &Path,
) -> anyhow::Result<()> {
    let path = folder.join(&file.path);
    fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    fs::write(&path, head(hub, snapshot, file).await?)?;
    Ok(fs::OpenOptions::new().write(true).open(&path)?.set_len(file.size)?)
}

impl Large {
    /// Brings them: each that is a layer by itself into the layout, the others to their places in
    /// the folder. Returns the layers.
    pub(super) fn bring(
        &self,
        folder: &Folder,
        plan: &Plan,
        layout: &Layout,
        ui: &Ui,
    ) -> anyhow::Result<Vec<ReadyLayer>> {
        let way = Way { large: self, folder, layout, plan, ui };
        let bringing =
            stream::iter(&self.files).map(|file| way.bring(file)).buffer_unordered(self.n_at_once);
        let ready = ui
            .block_on(bringing.try_collect())
            .with_context(|| format!("cannot import the large files of {}", self.snapshot.repo));
        let ready: Vec<Option<ReadyLayer>> = with_advice(ready, ui)?;
        Ok(ready.into_iter().flatten().collect())
    }
}

/// What every large file needs on its way.
struct Way<'a> {
    large: &'a Large,
    folder: &'a Folder,
    layout: &'a Layout,
    plan: &'a Plan,
    ui: &'a Ui,
}

impl Way<'_> {
    async fn bring(&self, file: &HubFile) -> anyhow::Result<Option<ReadyLayer>> {
        let Large { hub, snapshot, .. } = self.large;
        let bar = self.ui.bytes_bar(&file.path, file.size);
        let on = move_on(&bar);
        let layer = self.plan.layers.iter().find(|layer| layer.path.as_str() == file.path);
        let frame = layer.map(|layer| around(&layer.files)).transpose()?.flatten();
        if let (Some(layer), Some((before, after))) = (layer, frame) {
            let found = hub
                .download_framed(snapshot, file, &Frame { before, after }, self.layout, &on)
                .await?;
            if let Some((digest, size)) = found {
                bar.finish_and_clear();
                return Ok(Some(ReadyLayer { path: layer.path.clone(), digest, size }));
            }
        }
        self.folder.fetch(hub, snapshot, file, &on).await?;
        bar.finish_and_clear();
        Ok(None)
    }
}
