//! The files of a folder.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use kitfile::FileInfo;

use super::{HEAD, header_size};

/// What is in a folder.
pub(crate) struct Surveyed {
    /// Every file with its size and its beginning, in the order of the paths.
    pub(crate) files: Vec<FileInfo>,
    /// The paths of symbolic links that are not followed.
    pub(crate) links: Vec<String>,
}

/// Every file beneath a folder with its size and its beginning, in the order of the paths.
#[cfg(feature = "full")]
pub(crate) fn survey(dir: &Path) -> anyhow::Result<Vec<FileInfo>> {
    Ok(survey_following(dir, None)?.files)
}

/// Every file beneath a folder; links that end below `root` count as what they lead to.
pub(crate) fn survey_following(dir: &Path, root: Option<&Path>) -> anyhow::Result<Surveyed> {
    let root = root.map(fs::canonicalize).transpose()?;
    let mut found = Surveyed { files: Vec::new(), links: Vec::new() };
    // Each with the folders that links have led to on the way, so that none is gone around in.
    let mut folders = vec![(dir.to_owned(), vec![fs::canonicalize(dir)?])];
    while let Some((folder, around)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let end = || {
                let end = fs::canonicalize(&path).ok()?;
                let is_around = around.iter().any(|around| around.starts_with(&end));
                let is_below = root.as_ref().is_some_and(|root| end.starts_with(root));
                (is_below && !is_around).then_some(end)
            };
            match (kind.is_symlink(), kind.is_dir()) {
                (false, true) => folders.push((path, around.clone())),
                (false, false) if kind.is_file() => found.files.push(look(dir, &path)?),
                (true, _) => match end() {
                    Some(end) if end.is_dir() => {
                        folders.push((path, [around.as_slice(), &[end]].concat()));
                    }
                    Some(end) if end.is_file() => found.files.push(look(dir, &path)?),
                    _ => found.links.push(name(dir, &path)?.to_owned()),
                },
                (false, false) => {}
            }
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.links.sort();
    Ok(found)
}

fn name<'a>(dir: &Path, path: &'a Path) -> anyhow::Result<&'a str> {
    let relative = path.strip_prefix(dir).expect("the walk stays inside");
    relative.to_str().with_context(|| format!("{} is not valid UTF-8", relative.display()))
}

fn look(dir: &Path, path: &Path) -> anyhow::Result<FileInfo> {
    let name = name(dir, path)?;
    let size = fs::metadata(path)?.len();
    let mut head = Vec::new();
    if kitfile::needs_head(name) {
        let mut file = fs::File::open(path)?.take(HEAD);
        file.read_to_end(&mut head)?;
        file.set_limit(header_size(&head, size).saturating_sub(HEAD));
        file.read_to_end(&mut head)?;
    }
    Ok(FileInfo { path: name.to_owned(), size, head })
}
