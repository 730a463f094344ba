//! One walk of a context for all layers.

use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use kitfile::ContextPath;

use crate::archive::{Content, Entry};
use crate::error::{Error, Result};
use crate::ignore::Ignore;

/// What the walk found, for each of the paths it was given.
pub(super) struct Walked {
    pub(super) files: Vec<Vec<Entry>>,
    pub(super) found: Vec<bool>,
    pub(super) warnings: Vec<String>,
}

struct Walk<'a> {
    context: Arc<Path>,
    paths: &'a [ContextPath],
    ignore: &'a Ignore,
    walked: Walked,
}

/// Where the walk is: the most specific path that holds this folder, and the paths that lie beneath
/// it.
struct Place {
    owner: Option<usize>,
    beneath: Vec<usize>,
}

pub(super) fn walk(context: &Path, paths: &[ContextPath], ignore: &Ignore) -> Result<Walked> {
    let owner = paths.iter().position(ContextPath::is_root);
    let beneath = (0..paths.len()).filter(|index| Some(*index) != owner).collect();
    let files = paths.iter().map(|_| Vec::new()).collect();
    let found = paths.iter().map(ContextPath::is_root).collect();
    let mut walk = Walk {
        context: context.into(),
        paths,
        ignore,
        walked: Walked { files, found, warnings: Vec::new() },
    };
    walk.folder(context, "", &Place { owner, beneath })?;
    Ok(walk.walked)
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, path: &str, place: &Place) -> Result<()> {
        let mut names = Vec::new();
        for item in fs::read_dir(folder)? {
            names.push(item?.file_name());
        }
        names.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
        for name in names {
            let source = folder.join(&name);
            let Some(name) = name.to_str() else {
                if place.owner.is_none() {
                    continue;
                }
                let path = source.display().to_string();
                return Err(Error::Name { path, problem: "has a name that is not UTF-8" });
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            self.item(&source, path, place)?;
        }
        Ok(())
    }

    fn item(&mut self, source: &Path, path: String, parent: &Place) -> Result<()> {
        let place = self.place(&path, parent);
        if place.owner.is_none() && place.beneath.is_empty() {
            return Ok(());
        }
        let is_ignored = self.ignore.matches(&path);
        if is_ignored && !self.ignore.has_exclusions() {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(source)?;
        if !is_ignored {
            self.add(&path, &metadata, &place);
        }
        if metadata.is_dir() { self.folder(source, &path, &place) } else { Ok(()) }
    }

    fn place(&self, path: &str, parent: &Place) -> Place {
        let mut place = Place { owner: parent.owner, beneath: Vec::new() };
        for index in &parent.beneath {
            match self.paths[*index].as_str().strip_prefix(path) {
                Some("") => place.owner = Some(*index),
                Some(rest) if rest.starts_with('/') => place.beneath.push(*index),
                _ => {}
            }
        }
        place
    }

    fn add(&mut self, path: &str, metadata: &Metadata, place: &Place) {
        let content = if metadata.is_dir() {
            Content::Folder
        } else if metadata.is_file() {
            Content::within(&self.context, metadata)
        } else {
            let what = if metadata.is_symlink() {
                "a symbolic link"
            } else {
                "neither a file nor a folder"
            };
            self.walked.warnings.push(format!("{path} is {what} and is left out"));
            return;
        };
        // A layer that lies deeper gets the folders on the way to it.
        let on_the_way = place.beneath.iter().filter(|_| content == Content::Folder);
        for index in on_the_way.chain(&place.owner) {
            self.walked.files[*index]
                .push(Entry { path: path.to_owned(), content: content.clone() });
            self.walked.found[*index] |= self.paths[*index].as_str() == path;
        }
    }
}
