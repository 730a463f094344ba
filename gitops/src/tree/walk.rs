//! From a path to what it leads to, links followed.

use std::collections::BTreeMap;

use super::folder::{Entry, File, Folder};
use super::path::join;
use crate::{Error, Result, Tree};

/// How many links may lead to links.
const MAX_LINKS: usize = 40;

/// What a path leads to; a folder with its path after all links.
pub(super) enum Place<'a> {
    Folder(&'a Folder, String),
    File(&'a File),
}

impl Tree {
    /// Walks to a path. Links are followed: what they lead to is known without links.
    pub(super) fn walk(&self, path: &str) -> Result<Option<Place<'_>>> {
        let (mut folder, mut at) = (&self.root, String::new());
        let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
        while let Some(part) = parts.next() {
            at = join(&at, part);
            let mut entry = folder.entries().get(part);
            if let Some(Entry::Link(_) | Entry::Written(_)) = entry {
                let target =
                    self.end(&at, MAX_LINKS).ok_or_else(|| Error::LinkOut { path: at.clone() })?;
                if target.is_empty() {
                    (folder, at) = (&self.root, String::new());
                    continue;
                }
                entry = self.straight(&target);
                at = target;
            }
            match entry {
                Some(Entry::Folder(inner)) => folder = inner,
                Some(Entry::File(file)) if parts.peek().is_none() => {
                    return Ok(Some(Place::File(file)));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Place::Folder(folder, at)))
    }

    /// Where the link at a path without other links ends, all links followed: a path without links.
    /// None when it leaves the tree or leads nowhere.
    fn end(&self, link: &str, hops: usize) -> Option<String> {
        let written = match self.straight(link)? {
            Entry::Link(target) => return target.clone(),
            Entry::Written(written) if hops > 0 && !written.starts_with('/') => written,
            _ => return None,
        };
        let mut at = link.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        for part in written.split('/') {
            match part {
                "" | "." => {}
                ".." if at.is_empty() => return None,
                ".." => at.truncate(at.rfind('/').unwrap_or_default()),
                part => {
                    at = join(&at, part);
                    if let Entry::Link(_) | Entry::Written(_) = self.straight(&at)? {
                        at = self.end(&at, hops - 1)?;
                    }
                }
            }
        }
        Some(at)
    }

    /// Every link with where it ends: a path of the tree, or `/` for none.
    pub(super) fn links(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![(String::new(), &self.root)];
        while let Some((path, folder)) = open.pop() {
            for (name, entry) in folder.entries() {
                let path = join(&path, name);
                match entry {
                    Entry::Folder(inner) => open.push((path, inner)),
                    Entry::Link(_) | Entry::Written(_) => {
                        let end = self.end(&path, MAX_LINKS).unwrap_or_else(|| "/".to_owned());
                        found.insert(path, end);
                    }
                    Entry::File(_) => {}
                }
            }
        }
        found
    }

    /// The entry at a path that has no links.
    fn straight(&self, path: &str) -> Option<&Entry> {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = &self.root;
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            let Some(Entry::Folder(inner)) = folder.entries().get(part) else { return None };
            folder = inner;
        }
        folder.entries().get(name)
    }
}
