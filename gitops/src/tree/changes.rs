//! Where two trees differ.

use std::collections::{BTreeMap, BTreeSet};

use super::folder::File;
use super::path::join;
use crate::Tree;

/// Where two trees differ.
pub(crate) enum Changes {
    /// Perhaps anywhere.
    Any,
    /// At these paths.
    Paths(BTreeSet<String>),
}

impl Changes {
    /// Whether there may be one at such a path.
    pub(crate) fn has(&self, is_such: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Paths(paths) => paths.iter().any(|path| is_such(path)),
        }
    }
}

impl Tree {
    /// The paths at which this tree and another have other files; every path where they have other
    /// links, because anything may be reached through one.
    pub(crate) fn changes(&self, other: &Self) -> Changes {
        let (links, others) = (self.links(), other.links());
        if links != others {
            return Changes::Any;
        }
        let (ours, theirs) = (self.by_path(), other.by_path());
        let differs = |path: &&&str| match (ours.get(**path), theirs.get(**path)) {
            (Some(a), Some(b)) => !a.is_same(b),
            _ => true,
        };
        let all: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
        let changed = all.iter().filter(differs);
        let mut paths: BTreeSet<String> = changed.map(|path| (*path).to_owned()).collect();
        // A file has a further path through each link to a folder above it.
        for _ in 0..=links.len() {
            let through: Vec<String> = links
                .iter()
                .flat_map(|(link, end)| paths.iter().filter_map(|path| moved(path, end, link)))
                .collect();
            let n_before = paths.len();
            paths.extend(through);
            match paths.len() {
                n if n == n_before => return Changes::Paths(paths),
                n if n > 100_000 => break,
                _ => {}
            }
        }
        Changes::Any
    }

    fn by_path(&self) -> BTreeMap<&str, &File> {
        self.all_files().into_iter().map(|file| (file.path.as_str(), file)).collect()
    }
}

/// A path below one folder as it is below another.
fn moved(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = path.strip_prefix(from)?;
    let is_below = from.is_empty() || rest.is_empty() || rest.starts_with('/');
    let rest = rest.trim_start_matches('/');
    is_below.then(|| if rest.is_empty() { to.to_owned() } else { join(to, rest) })
}
