//! The manifests of a folder, as Flux takes them.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use gitops::{Tree, flux};
use modelkit::archive::{Content, Entry};

use crate::failure::failure;
use crate::kind::Kind;

/// The files of a folder with the folders that lead to them, in the order of their names; that there
/// are none is an error.
pub(crate) fn entries(dir: &Path) -> anyhow::Result<Vec<Entry>> {
    let root = fs::canonicalize(dir)?;
    let mut found: BTreeSet<(String, bool)> = BTreeSet::new();
    for path in listed(&root)? {
        if fs::symlink_metadata(root.join(&path))?.is_file() {
            let folders = path.match_indices('/').map(|(end, _)| (path[..end].to_owned(), true));
            found.extend(folders);
            found.insert((path, false));
        }
    }
    let entry = |(path, is_folder): (String, bool)| {
        let content = match is_folder {
            true => Content::Folder,
            false => {
                use std::os::unix::fs::PermissionsExt as _;
                let source = root.join(&path);
                let metadata = fs::metadata(&source)?;
                let executable = metadata.permissions().mode() & 0o100 != 0;
                Content::file(&source, &metadata, executable)
            }
        };
        Ok(Entry { path, content })
    };
    if found.is_empty() {
        let message = format!("there are no files for Flux in {}", dir.display());
        return Err(failure(Kind::NotFound, message));
    }
    found.into_iter().map(entry).collect()
}

/// The same, if there is something among them that Flux can apply.
pub(crate) fn of_flux(dir: &Path) -> anyhow::Result<Vec<Entry>> {
    let entries = entries(dir)?;
    let is_yaml = |entry: &Entry| entry.path.ends_with(".yaml") || entry.path.ends_with(".yml");
    match entries.iter().any(is_yaml) {
        true => Ok(entries),
        false => {
            let message = format!("there are no manifests (*.yaml) in {}", dir.display());
            Err(failure(Kind::NotFound, message))
        }
    }
}

/// The files that Flux would take.
fn listed(root: &Path) -> anyhow::Result<Vec<String>> {
    Ok(flux::artifact(&Tree::open(root)?, None).file_paths())
}
