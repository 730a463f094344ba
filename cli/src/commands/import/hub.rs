//! Brings the files of a repository on a hub.

use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::hub::{Hub, HubFile, RepoId, Snapshot};

use super::folder::Folder;
use super::large::{self, Large};
use super::{Args, Brought, is_wanted};
use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::ui::Ui;

/// Hugging Face's own hub.
const HUB: &str = "https://huggingface.co";

/// A repository on a hub, and the way there.
pub(crate) struct Remote {
    pub(crate) hub: Hub,
    pub(crate) id: RepoId,
    pub(crate) revision: String,
    /// The hub's address.
    pub(crate) endpoint: String,
}

impl Remote {
    /// What the user says goes before what the repository's address says, and `HF_ENDPOINT` before its host.
    pub(crate) fn new(repository: &str, revision: Option<&str>, token: Option<&str>) -> anyhow::Result<Self> {
        let id: RepoId = repository.parse().map_err(|error| asked_wrongly(format!("{repository}: {error}")))?;
        let endpoint =
            env::hf_endpoint().or_else(|| id.endpoint().map(str::to_owned)).unwrap_or_else(|| HUB.to_owned());
        let revision = revision.or(id.revision()).unwrap_or("main").to_owned();
        let hub = Hub::new(&endpoint, token.map(str::to_owned).or_else(env::hf_token))?;
        Ok(Self { hub, id, revision, endpoint })
    }
}

pub(super) fn bring(args: &Args, ui: &Ui) -> anyhow::Result<Brought> {
    let Remote { hub, id: repository, revision, endpoint } =
        Remote::new(&args.repository, args.revision.as_deref(), args.token.as_deref())?;
    let bringing = async {
        let mut snapshot = hub.files(&repository, &revision).await?;
        snapshot.files.retain(|file| is_wanted(&file.path, args));
        if snapshot.files.is_empty() {
            return Err(asked_wrongly("the repository has no files, or none that --include and --exclude leave"));
        }
        let key = registry::content::digest(format!("{endpoint}\n{repository}\n{}", snapshot.sha).as_bytes());
        let folder = Folder::kept(ui.home().importing().join(&key.digest()[..32]))?;
        forget_others(folder.path(), &snapshot)?;
        let (large, small) = large::divide(&snapshot.files, folder.path())?;
        download(&hub, &snapshot, &small, folder.path(), args.concurrency, ui).await?;
        for file in &large {
            large::hold_place(&hub, &snapshot, file, folder.path()).await?;
        }
        let commit = snapshot.sha.clone();
        let large = Large { hub, snapshot, files: large, n_at_once: args.concurrency.into() };
        Ok((folder, commit, large))
    };
    let (folder, commit, large) = ui
        .block_on(bringing)
        .with_context(|| format!("cannot import {repository} from {endpoint}"))
        .hint("HF_ENDPOINT names another hub, HF_TOKEN (or --token) opens private and gated models")?;
    Ok(Brought { folder, name: repository.name().to_owned(), commit, large: Some(large) })
}

/// Several files at once; each of them is verified.
async fn download(
    hub: &Hub,
    snapshot: &Snapshot,
    files: &[HubFile],
    into: &Path,
    n_at_once: u8,
    ui: &Ui,
) -> anyhow::Result<()> {
    let files = stream::iter(files).map(anyhow::Ok);
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
