//! What a command has written into the repository.

use std::path::Path;

use fs_err as fs;
use gitops::{Rendered, Tree};
use modelkit::Existing;
use serde_json::json;

use super::history::{History, Message};
use crate::output::lines;
use crate::ui::Ui;

/// Writes the files of a tree, all or none, and answers with their paths.
pub(super) fn write(tree: &Tree, dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    put(tree, dir)?;
    let paths: Vec<&str> = tree.paths().collect();
    ui.answer(lines(&paths), &json!({ "written": paths }))
}

/// Writes what was rendered, in the place of the rendering before.
pub(super) fn write_rendered(
    rendered: &Rendered,
    before: &Tree,
    dir: &Path,
    ui: &Ui,
) -> anyhow::Result<()> {
    let Rendered { files, gone, .. } = rendered;
    // Until the record is written, what is gone is only missing: the next rendering makes it good.
    let removed = gone.iter().try_for_each(|path| remove(dir, path));
    removed.and_then(|()| put(files, dir)).or_else(|error| {
        put_back(gone.iter().map(String::as_str), before, dir)?;
        Err(error)
    })?;
    for path in gone {
        ui.note(format_args!("removed {path}, which is no part of the app any more"));
    }
    let paths: Vec<&str> = files.paths().collect();
    ui.answer(lines(&paths), &json!({ "written": paths, "removed": gone }))
}

/// Removes a file, and the folders that it leaves empty.
fn remove(dir: &Path, path: &str) -> anyhow::Result<()> {
    fs::remove_file(dir.join(path))?;
    let mut folder = Path::new(path).parent();
    while let Some(path) = folder.filter(|path| !path.as_os_str().is_empty()) {
        // One that is not empty stays, and so do those above it.
        if std::fs::remove_dir(dir.join(path)).is_err() {
            break;
        }
        folder = path.parent();
    }
    Ok(())
}

/// The same as one commit, where that is asked for; what cannot be committed is not left behind.
pub(super) fn write_as(
    tree: &Tree,
    before: &Tree,
    dir: &Path,
    message: Option<&Message>,
    ui: &Ui,
) -> anyhow::Result<()> {
    let Some(message) = message.filter(|_| !tree.is_empty()) else { return write(tree, dir, ui) };
    let history = History::of(dir)?;
    history.require_clean(tree)?;
    put(tree, dir)?;
    let commit = history.commit(tree, message).or_else(|error| {
        put_back(tree.paths(), before, dir)?;
        Err(error)
    })?;
    ui.note(format_args!("committed {}", &commit[..commit.len().min(12)]));
    let paths: Vec<&str> = tree.paths().collect();
    ui.answer(lines(&paths), &json!({ "written": paths, "commit": commit }))
}

/// Writes files as they were.
fn put_back<'a>(
    paths: impl Iterator<Item = &'a str>,
    before: &Tree,
    dir: &Path,
) -> anyhow::Result<()> {
    let mut former = Tree::new();
    for path in paths {
        former.insert(path, before.get(path).unwrap_or_default())?;
    }
    put(&former, dir)
}

fn put(tree: &Tree, dir: &Path) -> anyhow::Result<()> {
    let files = tree.iter().map(|(path, text)| (path, text.as_bytes()));
    Ok(modelkit::write_files(dir, files, Existing::Replace)?)
}
