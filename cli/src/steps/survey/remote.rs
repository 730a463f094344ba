//! The files of a repository on a hub, of which no more comes than their beginnings.

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kitfile::FileInfo;
use registry::hub::{Hub, HubFile, Snapshot};

use super::{HEAD, header_size};
use crate::output::{n_of, some_of};
use crate::steps::hub::Remote;
use crate::ui::Ui;

/// How many files are looked at at once.
const AT_ONCE: usize = 8;

/// Every file of the repository with its size and its beginning, in the order of the paths.
pub(crate) fn survey_remote(remote: &Remote, ui: &Ui) -> anyhow::Result<Vec<FileInfo>> {
    let Remote { hub, id, revision, endpoint } = remote;
    let looking = async {
        let snapshot = hub.files(id, revision).await?;
        let looks = stream::iter(&snapshot.files).map(|file| look(hub, &snapshot, file));
        let mut found: Vec<FileInfo> = looks.buffer_unordered(AT_ONCE).try_collect().await?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let files = n_of(found.len() as u64, "file");
        ui.note(format_args!("{id} at {}: {files}", snapshot.sha));
        if !snapshot.unwritable.is_empty() {
            let names = some_of(snapshot.unwritable.iter().map(String::as_str));
            ui.warn(format_args!("left out, because no file can be called so here: {names}"));
        }
        anyhow::Ok(found)
    };
    ui.block_on(looking).with_context(|| format!("cannot look at {id} on {endpoint}"))
}

async fn look(hub: &Hub, snapshot: &Snapshot, file: &HubFile) -> anyhow::Result<FileInfo> {
    let head = match kitfile::needs_head(&file.path) {
        true => head(hub, snapshot, file).await?,
        false => Vec::new(),
    };
    Ok(FileInfo { path: file.path.clone(), size: file.size, head })
}

/// As much of a file's beginning as a guess needs.
pub(crate) async fn head(
    hub: &Hub,
    snapshot: &Snapshot,
    file: &HubFile,
) -> registry::Result<Vec<u8>> {
    let head = hub.head(snapshot, file, HEAD).await?;
    match header_size(&head, file.size) {
        header if header > HEAD => hub.head(snapshot, file, header).await,
        _ => Ok(head),
    }
}
