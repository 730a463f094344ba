//! Brings the files of a repository on a hub.

use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry::hub::{Hub, HubFile, Snapshot};

use super::args::{Args, check_any};
use super::brought::Brought;
use super::folder::{Folder, GOES_ON};
use super::large::{self, Large};
use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::steps::bars::move_on;
use crate::steps::hub::Remote;
use crate::ui::Ui;

pub(super) fn bring(remote: Remote, args: &Args, ui: &Ui) -> anyhow::Result<Brought> {
    let Remote { hub, id: repository, revision, endpoint } = remote;
    let bringing = async {
        let mut snapshot = hub.files(&repository, &revision).await?;
        snapshot.files.retain(|file| args.wants(&file.path));
        check_any(snapshot.files.len())?;
        let key = registry::content::digest(
            format!("{endpoint}\n{repository}\n{}", snapshot.sha).as_bytes(),
        );
        let folder = Folder::kept(ui.home().importing().join(&key.digest()[..32]))?;
        forget_others(folder.path(), &snapshot)?;
        let (large, small) = large::divide(&snapshot.files, folder.path())?;
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
    let brought = match ui.interrupt().flow().is_break() {
        true => brought.hint(GOES_ON),
        false => brought.hint_if(
            &[Kind::NotFound, Kind::Refused],
            "HF_ENDPOINT names another hub; private models need --token, or HF_TOKEN there and at huggingface.co",
        ),
    };
    let (folder, commit, large) = brought?;
    Ok(Brought { folder, name: repository.name().to_owned(), commit, large: Some(large) })
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
    // It got its name after it was verified.
    if fs::metadata(folder.path().join(&file.path))
        .is_ok_and(|found| found.is_file() && found.len() == file.size)
    {
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
        forget_others(dir.path(), &Snapshot { repo, sha: "0".repeat(40), files }).expect("they go");
        let found = crate::steps::survey::survey(dir.path()).expect("the folder is there");
        assert_eq!(found.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), wanted);
    }
}
