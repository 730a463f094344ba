//! A repository as a value: text files by their paths.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use fs_err as fs;

use crate::{Error, Result};

/// Files of more bytes than this are left out of a tree: no file that a person wrote is so large.
const MAX_FILE: u64 = 4 << 20;

/// A tree of text files: relative paths, `/` between their parts, and what stands in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Makes an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a tree of files; one whose path leaves it is an error, as is a second one at the same
    /// place.
    pub fn from_files<P: AsRef<str>, T: Into<String>>(
        files: impl IntoIterator<Item = (P, T)>,
    ) -> Result<Self> {
        let mut tree = Self::new();
        for (path, text) in files {
            let n_before = tree.len();
            tree.insert(path.as_ref(), text)?;
            if tree.len() == n_before {
                return Err(Error::Twice { path: path.as_ref().to_owned() });
            }
        }
        Ok(tree)
    }

    /// Reads a folder with all below it.
    ///
    /// `.git` is skipped, as is a file that is no text (UTF-8) or larger than 4 MiB; a symbolic
    /// link is an error, since it could lead anywhere.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut tree = Self::new();
        tree.read_folder(dir, "")?;
        Ok(tree)
    }

    /// Writes every file below a folder; each appears by rename, parents are made, other files
    /// stay.
    pub fn write(&self, dir: &Path) -> Result<()> {
        for (path, text) in &self.0 {
            write_file(dir, path, text)?;
        }
        Ok(())
    }

    /// Puts a file into the tree, over one that has its path.
    pub fn insert(&mut self, path: &str, text: impl Into<String>) -> Result<()> {
        let normal = normalize(path)?;
        if normal.is_empty() {
            return Err(Error::Outside { path: path.to_owned() });
        }
        self.0.insert(normal, text.into());
        Ok(())
    }

    /// The text of a file.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path.trim_start_matches("./")).map(String::as_str)
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All files, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts all files of another tree into this one, over those with the same paths.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether a folder with this path has files somewhere below it.
    pub fn has_folder(&self, path: &str) -> bool {
        path.is_empty() && !self.0.is_empty()
            || self
                .0
                .range(format!("{path}/")..)
                .next()
                .is_some_and(|(first, _)| first.starts_with(&format!("{path}/")))
    }

    /// Puts a file whose path this crate has made from checked names.
    pub(crate) fn put(&mut self, path: String, text: String) {
        self.0.insert(path, text);
    }

    fn read_folder(&mut self, dir: &Path, prefix: &str) -> Result<()> {
        let failed = |source| Error::Read { dir: dir.to_owned(), source };
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                return Err(Error::Symlink { path: entry.path() });
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = join(prefix, &name);
            if kind.is_dir() && name != ".git" {
                self.read_folder(&entry.path(), &path)?;
            } else if kind.is_file()
                && entry.metadata().map_err(failed)?.len() <= MAX_FILE
                && let Ok(text) = String::from_utf8(fs::read(entry.path()).map_err(failed)?)
            {
                self.0.insert(path, text);
            }
        }
        Ok(())
    }
}

fn write_file(dir: &Path, path: &str, text: &str) -> Result<()> {
    let failed = |source| Error::Write { dir: dir.to_owned(), path: path.to_owned(), source };
    let target = dir.join(path);
    refuse_links(dir, path)?;
    let parent = target.parent().unwrap_or(dir);
    fs::create_dir_all(parent).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".kit-").tempfile_in(parent).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    shared(file.as_file()).map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A temporary file is private to its owner; a file of a repository is not.
#[cfg(unix)]
fn shared(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn shared(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Refuses to write through a symbolic link below the folder.
fn refuse_links(dir: &Path, path: &str) -> Result<()> {
    let mut place = dir.to_owned();
    for part in path.split('/') {
        place.push(part);
        if fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(Error::Symlink { path: place });
        }
    }
    Ok(())
}

/// Normalises a relative path: `./a//b/../c` becomes `a/c`; one that is absolute or climbs out is
/// refused.
pub(crate) fn normalize(path: &str) -> Result<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err(Error::Outside { path: path.to_owned() }),
            ".." => {}
            part => parts.push(part),
        }
    }
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return Err(Error::Outside { path: path.to_owned() });
    }
    Ok(parts.join("/"))
}

/// Where a path leads that nothing takes out of the tree: `../a` and `/a` are `a`.
pub(crate) fn confine(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Resolves a path that a file in a folder of the tree refers to.
pub(crate) fn resolve(folder: &str, path: &str) -> Result<String> {
    match path.starts_with('/') {
        true => Err(Error::Outside { path: path.to_owned() }),
        false => normalize(&join(folder, path)),
    }
}

/// Joins a folder of the tree and a path relative to it.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match folder {
        "" => path.to_owned(),
        folder => format!("{folder}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree::from_files(files.iter().copied()).unwrap()
    }

    #[test]
    fn reading_is_the_inverse_of_writing() {
        let dir = tempfile::tempdir().unwrap();
        let written = tree(&[("a/b.yaml", "x: 1\n"), ("c.txt", ""), ("a/d/e.json", "{}")]);
        written.write(dir.path()).unwrap();
        written.write(dir.path()).unwrap();
        assert_eq!(Tree::read(dir.path()).unwrap(), written);
    }

    #[test]
    fn git_and_binary_files_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        tree(&[(".git/config", "x"), ("a", "x")]).write(dir.path()).unwrap();
        fs::write(dir.path().join("binary"), [0xff, 0xfe]).unwrap();
        assert_eq!(Tree::read(dir.path()).unwrap(), tree(&[("a", "x")]));
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_are_neither_read_nor_written_through() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), dir.path().join("apps")).unwrap();
        assert!(matches!(Tree::read(dir.path()), Err(Error::Symlink { .. })));
        assert!(matches!(
            tree(&[("apps/x.yaml", "")]).write(dir.path()),
            Err(Error::Symlink { .. })
        ));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_path_leaves_the_tree() {
        assert_eq!(normalize("./a//b/../c/").unwrap(), "a/c");
        assert_eq!(normalize(".").unwrap(), "");
        for bad in ["../a", "/a", "a/../../b", "a\\b", "a\0"] {
            assert!(matches!(Tree::new().insert(bad, ""), Err(Error::Outside { .. })), "{bad}");
            assert!(matches!(Tree::from_files([("a", ""), (bad, "")]), Err(Error::Outside { .. })));
        }
    }

    #[test]
    fn no_file_takes_the_place_of_another_unseen() {
        let twice = Tree::from_files([("a/b", "1"), ("a/./b", "2")]);
        assert_eq!(twice.unwrap_err().to_string(), "the tree has a file at \"a/./b\" already");
    }

    #[test]
    fn a_folder_is_there_when_a_file_is_below_it() {
        let tree = tree(&[("a/b/c", ""), ("ab", "")]);
        let found = ["a", "a/b", "", "ab", "a/b/c", "b"].map(|path| tree.has_folder(path));
        assert_eq!(found, [true, true, true, false, false, false]);
    }
}
