//! What a command has written into the repository.

use std::path::Path;

use gitops::Tree;
use modelkit::Existing;
use serde_json::json;

use crate::output::lines;
use crate::ui::Ui;

/// Writes the files of a tree, all or none, and answers with their paths.
pub(super) fn write(tree: &Tree, dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    let paths: Vec<&str> = tree.paths().collect();
    let files = paths.iter().map(|path| (*path, tree.get(path).unwrap_or_default().as_bytes()));
    modelkit::write_files(dir, files, Existing::Replace)?;
    ui.answer(lines(&paths), &json!({ "written": paths }))
}
