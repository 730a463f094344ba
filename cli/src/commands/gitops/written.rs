//! What a command has written into the repository.

use std::path::Path;

use gitops::Tree;
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
        let mut former = Tree::new();
        for path in tree.paths() {
            former.insert(path, before.get(path).unwrap_or_default())?;
        }
        put(&former, dir)?;
        Err(error)
    })?;
    ui.note(format_args!("committed {}", &commit[..commit.len().min(12)]));
    let paths: Vec<&str> = tree.paths().collect();
    ui.answer(lines(&paths), &json!({ "written": paths, "commit": commit }))
}

fn put(tree: &Tree, dir: &Path) -> anyhow::Result<()> {
    let files = tree.iter().map(|(path, text)| (path, text.as_bytes()));
    Ok(modelkit::write_files(dir, files, Existing::Replace)?)
}
