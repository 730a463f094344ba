//! Brings the files of a repository on a hub.

use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::HttpError;
use registry::hub::{Hub, HubFile, Snapshot};

use super::args::Args;
use super::brought::Brought;
use super::choice::choose;
use super::folder::Folder;
use super::large::{self, Large};
use crate::failure::WithHint as _;
use crate::interrupt::GOES_ON;
use crate::output::{human_size, n_of, some_of};
use crate::steps::bars::move_on;
use crate::steps::hub::Remote;
use crate::ui::Ui;

pub(super) fn bring(remote: Remote, args: &Args, ui: &Ui) -> anyhow::Result<Brought> {
    let Remote { hub, id: repository, revision, endpoint } = remote;
    let bringing = async {
        let mut snapshot = hub.files(&repository, &revision).await?;
        let left_out = choose(&mut snapshot, args)?;
        tell(&snapshot, &left_out, ui);
        let key = registry::content::digest(
            format!("{endpoint}\n{repository}\n{}", snapshot.sha).as_bytes(),
        );
        let folder = Folder::kept(ui.home().importing().join(&key.digest()[..32]))?;
        forget_others(folder.path(), &snapshot)?;
        // Pickles are looked at before they are packed.
        let (large, small) = large::divide(&snapshot.files, folder.path(), pickle::is_suspect)?;
        download(&hub, &snapshot, &small, &folder, args.concurrency, ui).await?;
        for file in &large {
            large::hold_place(&hub, &snapshot, file, folder.path()).await?;
        }
        let commit = snapshot.sha.clone();
        let large = Large { hub, snapshot, files: large, n_at_once: args.concurrency.into() };
        anyhow::Ok((folder, commit, large))
    };
    let brought = ui
        .block_on(bringing)
        .with_context(|| format!("cannot import {repository} from {endpoint}"));
    let (folder, commit, large) = with_advice(brought, ui)?;
    Ok(Brought { folder, name: repository.name().to_owned(), commit, large: Some(large) })
}

/// Adds what to do next where the hub was not to be reached, or the user has stopped it; what else
/// goes wrong says so itself.
pub(super) fn with_advice<T>(brought: anyhow::Result<T>, ui: &Ui) -> anyhow::Result<T> {
    let is_of_the_way = |error: &anyhow::Error| {
        let mut causes = error.chain().filter_map(|it| it.downcast_ref::<registry::Error>());
        causes.any(|cause| matches!(cause, registry::Error::Http(HttpError::Request { .. })))
    };
    match brought {
        Err(error) if ui.interrupt().flow().is_break() => Err(error).hint(GOES_ON),
        Err(error) if is_of_the_way(&error) => Err(error)
            .hint(format!("HF_ENDPOINT names another hub, HTTPS_PROXY a way there; {GOES_ON}")),
        brought => brought,
    }
}

/// Says what is not taken, and what cannot be verified.
fn tell(snapshot: &Snapshot, left_out: &[HubFile], ui: &Ui) {
    let size = left_out.iter().map(|file| file.size).fold(0, u64::saturating_add);
    if !left_out.is_empty() {
        ui.warn(format_args!(
            "left out, because the model is there as safetensors: {} ({}), {}; --include '*' takes all",
            n_of(left_out.len() as u64, "file"),
            human_size(size),
            some_of(left_out.iter().map(|file| file.path.as_str()))
        ));
    }
    let nameless: Vec<&str> = snapshot
        .files
        .iter()
        .filter(|file| !file.is_named())
        .map(|file| file.path.as_str())
        .collect();
    if !nameless.is_empty() {
        ui.warn(format_args!(
            "only the size of {} can be compared, because the hub does not say what is in it: {}",
            n_of(nameless.len() as u64, "file"),
            some_of(nameless.into_iter())
        ));
    }
}

/// Several files at once; each of them is verified.
async fn download(
    hub: &Hub,
    snapshot: &Snapshot,
    files: &[HubFile],
    folder: &Folder,
    n_at_once: u8,
    ui: &Ui,
) -> anyhow::Result<()> {
    let files = stream::iter(files).map(anyhow::Ok);
    files
        .try_for_each_concurrent(usize::from(n_at_once), |file| {
            one(hub, snapshot, file, folder, ui)
        })
        .await
}

async fn one(
    hub: &Hub,
    snapshot: &Snapshot,
    file: &HubFile,
    folder: &Folder,
    ui: &Ui,
) -> anyhow::Result<()> {
    if file.is_at(&folder.path().join(&file.path))? {
        return Ok(());
    }
    let bar = ui.bytes_bar(&file.path, file.size);
    folder.fetch(hub, snapshot, file, &move_on(&bar)).await?;
    bar.finish_and_clear();
    Ok(())
}

/// Takes away what an earlier import left and this one does not want: files that other patterns
/// chose, and parts of files.
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
            if !snapshot.files.iter().any(|file| file.path == name) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use registry::hub::RepoId;

    use super::*;

    #[test]
    fn only_wanted_files_stay() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let write = |name: &str| fs::write(dir.path().join(name), "content").expect("it writes");
        fs::create_dir(dir.path().join("sub")).expect("a folder");
        let wanted = ["model.safetensors", "sub/config.json"];
        wanted.into_iter().for_each(write);
        [
            "model.safetensors.index.json",
            "model.safetensors.0123456789abcdef.incomplete",
            "model.safetensors.0123456789abcdef.incomplete.map",
            "config.json",
            "sub/config.json.bak",
        ]
        .into_iter()
        .for_each(write);
        let file = |path: &str| HubFile {
            path: path.to_owned(),
            size: 7,
            oid: "0123456789".into(),
            sha256: None,
        };
        let files = wanted.map(file).to_vec();
        let repo: RepoId = "org/name".parse().expect("a name");
        let snapshot = Snapshot { repo, sha: "0".repeat(40), files, unwritable: Vec::new() };
        forget_others(dir.path(), &snapshot).expect("they go");
        let found = crate::steps::survey::survey(dir.path()).expect("the folder is there");
        assert_eq!(found.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), wanted);
    }
}
