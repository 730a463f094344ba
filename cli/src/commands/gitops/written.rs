//! What a command has written into the repository.

use std::path::Path;

use gitops::Tree;
use serde_json::json;

use crate::output::lines;
use crate::ui::Ui;

/// Writes the files of a tree, and answers with their paths.
pub(super) fn write(tree: &Tree, dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    tree.write(dir)?;
    let paths: Vec<&str> = tree.paths().collect();
    ui.answer(lines(&paths), &json!({ "written": paths }))
}
