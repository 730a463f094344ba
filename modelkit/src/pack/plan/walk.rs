//! One walk of a context for all layers.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use kitfile::ContextPath;

use crate::archive::{Content, Entry};
use crate::error::{Error, Result};
use crate::ignore::Ignore;
use crate::staging::{OWN, is_unfinished};

/// What the walk found, for each of the paths it was given.
pub(super) struct Walked {
    pub(super) files: Vec<Vec<Entry>>,
    pub(super) found: Vec<bool>,
    /// Whether the ignore file leaves out something that would have gone there.
    pub(super) ignored: Vec<bool>,
    /// What would have gone there, had it been a file or a folder.
    pub(super) passed: Vec<Vec<String>>,
    pub(super) warnings: Vec<String>,
}

struct Walk<'a> {
    context: Arc<Path>,
    paths: &'a [ContextPath],
    ignore: &'a Ignore,
    /// Links that end in there are taken for what they lead to.
    follow: Option<PathBuf>,
    /// The folders that the walk is in, each by its device and its inode; kept where links are
    /// followed, which may lead around in a circle.
    around: Vec<(u64, u64)>,
    walked: Walked,
}

/// Where the walk is: the most specific path that holds this folder, and the paths that lie beneath
/// it.
struct Place {
    owner: Option<usize>,
    beneath: Vec<usize>,
}

pub(super) fn walk(
    context: &Path,
    paths: &[ContextPath],
    ignore: &Ignore,
    follow: Option<&Path>,
) -> Result<Walked> {
    let owner = paths.iter().position(ContextPath::is_root);
    let beneath = (0..paths.len()).filter(|index| Some(*index) != owner).collect();
    let files = paths.iter().map(|_| Vec::new()).collect();
    let found = paths.iter().map(ContextPath::is_root).collect();
    let ignored = vec![false; paths.len()];
    let passed = vec![Vec::new(); paths.len()];
    let mut walk = Walk {
        context: context.into(),
        paths,
        ignore,
        follow: follow.map(fs::canonicalize).transpose()?,
        around: Vec::new(),
        walked: Walked { files, found, ignored, passed, warnings: Vec::new() },
    };
    let itself = fs::metadata(context)?;
    walk.around.push((itself.dev(), itself.ino()));
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
            match name.starts_with(OWN) {
                true => self.own(&source, &path, place)?,
                false => self.item(&source, path, place)?,
            }
        }
        Ok(())
    }

    /// What a command of ours is at, or was at when it was killed, is nobody's content.
    fn own(&mut self, source: &Path, path: &str, place: &Place) -> Result<()> {
        if is_unfinished(source) {
            return Err(Error::HalfPlaced { path: source.to_owned() });
        }
        if place.owner.is_some() {
            self.walked.warnings.push(format!(
                "{path} has a name that kit-rs keeps for what is on its way, and is left out"
            ));
        }
        Ok(())
    }

    fn item(&mut self, source: &Path, path: String, parent: &Place) -> Result<()> {
        let place = self.place(&path, parent);
        if place.owner.is_none() && place.beneath.is_empty() {
            return Ok(());
        }
        let is_ignored = self.ignore.matches(&path);
        if let Some(owner) = place.owner.filter(|_| is_ignored) {
            self.walked.ignored[owner] |= !crate::ignore::is_always(&path);
        }
        if is_ignored && !self.ignore.has_exclusions() {
            return Ok(());
        }
        let (source, metadata) = self.look_at(source)?;
        if !is_ignored {
            self.add(&source, &path, &metadata, &place);
        }
        if !metadata.is_dir() {
            return Ok(());
        }
        self.around.push((metadata.dev(), metadata.ino()));
        self.folder(&source, &path, &place)?;
        self.around.pop();
        Ok(())
    }

    /// What lies there; of a link that is followed, what it leads to.
    fn look_at(&self, source: &Path) -> Result<(PathBuf, Metadata)> {
        let itself = fs::symlink_metadata(source)?;
        if let Some(root) = self.follow.as_ref().filter(|_| itself.is_symlink())
            && let Ok(end) = fs::canonicalize(source)
            && end.starts_with(root)
        {
            let metadata = fs::metadata(&end)?;
            if !(metadata.is_dir() && self.around.contains(&(metadata.dev(), metadata.ino()))) {
                return Ok((end, metadata));
            }
        }
        Ok((source.to_owned(), itself))
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

    fn add(&mut self, source: &Path, path: &str, metadata: &Metadata, place: &Place) {
        let content = if metadata.is_dir() {
            Content::Folder
        } else if metadata.is_file() && self.follow.is_some() {
            Content::file(source, metadata, metadata.permissions().mode() & 0o100 != 0)
        } else if metadata.is_file() {
            Content::within(&self.context, metadata)
        } else {
            let what = match (metadata.is_symlink(), &self.follow) {
                (true, None) => "a symbolic link".to_owned(),
                (true, Some(root)) => {
                    format!("a symbolic link that does not end in {}", root.display())
                }
                (false, _) => "neither a file nor a folder".to_owned(),
            };
            self.walked.warnings.push(format!("{path} is {what} and is left out"));
            if let Some(owner) = place.owner {
                self.walked.passed[owner].push(path.to_owned());
            }
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
