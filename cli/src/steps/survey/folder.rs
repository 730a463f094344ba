//! The files of a folder.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use kitfile::FileInfo;

use super::{HEAD, header_size};

/// Every file beneath a folder with its size and its beginning, in the order of the paths.
pub(crate) fn survey(dir: &Path) -> anyhow::Result<Vec<FileInfo>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(look(dir, &entry.path())?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn look(dir: &Path, path: &Path) -> anyhow::Result<FileInfo> {
    let relative = path.strip_prefix(dir).expect("the walk stays inside");
    let name =
        relative.to_str().with_context(|| format!("{} is not valid UTF-8", relative.display()))?;
    let size = fs::symlink_metadata(path)?.len();
    let mut head = Vec::new();
    if kitfile::needs_head(name) {
        let mut file = fs::File::open(path)?.take(HEAD);
        file.read_to_end(&mut head)?;
        file.set_limit(header_size(&head, size).saturating_sub(HEAD));
        file.read_to_end(&mut head)?;
    }
    Ok(FileInfo { path: name.to_owned(), size, head })
}
