//! Pickles of a repository become safetensors.

use std::collections::BTreeSet;
use std::path::Path;

use crate::output::some_of;
use crate::steps::survey::survey;
use crate::ui::Ui;

/// Whether a file is weights that PyTorch pickled, or a shard of them.
pub(super) fn is_pickle(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("pytorch_model") && name.ends_with(".bin")
}

/// Converts them in each folder that has some, and says which.
pub(super) fn pickles(dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    let files = survey(dir)?;
    let paths = files.iter().map(|file| file.path.as_str()).filter(|path| is_pickle(path));
    let folders: BTreeSet<&str> =
        paths.map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
    let mut replaced = Vec::new();
    for folder in folders {
        for path in trainer::to_safetensors(&dir.join(folder))? {
            replaced.push(path.strip_prefix(dir).unwrap_or(&path).display().to_string());
        }
    }
    if replaced.is_empty() {
        ui.note("no pytorch_model.bin is without safetensors beside it: nothing is converted");
        return Ok(());
    }
    ui.note(format_args!("made safetensors of {}", some_of(replaced.iter().map(String::as_str))));
    Ok(())
}
