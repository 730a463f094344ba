//! A repository as a value: files by their paths.

mod changes;
mod folder;
mod path;
mod walk;
mod write;

use std::path::Path;
use std::sync::Arc;

pub(crate) use self::changes::Changes;
pub use self::folder::Later;
use self::folder::{Content, Entry, File, Folder};
pub(crate) use self::path::{confine, join, normalize, resolve};
use self::walk::Place;
use crate::base::Fetched;
use crate::{Bases, Error, OciArtifact, Result};

/// Texts of more bytes than this do not count among the files of a tree: no person wrote one so
/// large. A kustomization may refer to one all the same.
const MAX_TEXT: u64 = 4 << 20;

/// A tree of files: relative paths, `/` between their parts, and what stands in them.
///
/// [`Tree::get`], [`Tree::paths`] and [`Tree::iter`] know its texts (UTF-8, at most 4 MiB).
/// Kustomizations may refer to other files, too, and these are read when they do.
///
/// A symbolic link stands for what it leads to. One to a folder is not walked through, and one that
/// leaves the tree, or leads nowhere, is skipped; it is an error when a kustomization refers to it.
/// `.git` is not part of a tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Folder,
    bases: Option<Fetched>,
}

/// What a path of a tree leads to.
pub(crate) enum Found<'a> {
    Nothing,
    /// A folder, with its path after all links.
    Folder(String),
    File(Bytes<'a>),
}

/// What stands in a file.
#[derive(Clone, Copy)]
pub(crate) enum Bytes<'a> {
    Text(&'a str),
    /// No UTF-8.
    Binary(&'a [u8]),
}

impl<'a> Bytes<'a> {
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

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
            let path = path.as_ref();
            if tree.file(&normalize(path)?).is_some() {
                return Err(Error::Twice { path: path.to_owned() });
            }
            tree.insert(path, text)?;
        }
        Ok(tree)
    }

    /// Lets kustomizations of the tree refer to artifacts of registries by their digests; without
    /// this they are refused.
    #[must_use]
    pub fn with_bases(self, bases: Arc<dyn Bases>) -> Self {
        Self { bases: Some(Fetched::new(bases)), ..self }
    }

    /// Takes a folder with all below it; what is in it is read when it is asked for, so the folder
    /// must stay as it is. What cannot be read then is not there, unless a kustomization refers to
    /// it: that is an error.
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self { root: Folder::open(dir)?, bases: None })
    }

    /// Reads a folder with all below it. Binary files and texts of more than 4 MiB are read later,
    /// as by [`Tree::open`].
    pub fn read(dir: &Path) -> Result<Self> {
        let tree = Self::open(dir)?;
        let unread = tree.files().find_map(|file| match file.content() {
            Content::Unread(reason) => {
                Some(Error::Unread { path: file.path.clone(), reason: reason.clone() })
            }
            _ => None,
        });
        unread.map_or(Ok(tree), Err)
    }

    /// Takes only some files and links of a folder, by their paths; those that are not there are left
    /// out. What is in them is read when it is asked for, as by [`Tree::open`].
    pub fn select<P: AsRef<str>>(dir: &Path, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let failed = |source| Error::Read { dir: dir.to_owned(), source };
        let root = fs_err::canonicalize(dir).map_err(failed)?;
        let mut tree = Self::new();
        for path in paths {
            let path = checked(path.as_ref())?;
            if let Some(entry) = folder::at(&root, &path) {
                tree.put_entry(&path, entry);
            }
        }
        Ok(tree)
    }

    /// Writes every text below a folder; each appears by rename, parents are made, other files
    /// stay.
    pub fn write(&self, dir: &Path) -> Result<()> {
        self.iter().try_for_each(|(path, text)| write::file(dir, path, text.as_bytes()))
    }

    /// Puts a text into the tree, over a file that has its path.
    pub fn insert(&mut self, path: &str, text: impl Into<String>) -> Result<()> {
        let normal = checked(path)?;
        self.put(normal, text.into());
        Ok(())
    }

    /// Puts a file of any content into the tree, over one that has its path.
    pub fn insert_bytes(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let normal = checked(path)?;
        self.put_file(File::of_bytes(normal, bytes));
        Ok(())
    }

    /// Puts a file into the tree that is read when it is asked for, over one that has its path.
    pub fn insert_later(&mut self, path: &str, later: Later) -> Result<()> {
        let normal = checked(path)?;
        self.put_file(File::of_later(normal, later));
        Ok(())
    }

    /// Puts a symbolic link into the tree, with its target as it is written.
    pub fn insert_link(&mut self, path: &str, target: &str) -> Result<()> {
        let normal = checked(path)?;
        self.put_entry(&normal, Entry::Written(target.to_owned()));
        Ok(())
    }

    /// The text of a file.
    pub fn get(&self, path: &str) -> Option<&str> {
        let file = self.file(path)?;
        if file.size() > MAX_TEXT {
            return None;
        }
        text_of(file)
    }

    /// The paths of all files, sorted, whatever is in them.
    pub fn file_paths(&self) -> Vec<String> {
        self.all_files().into_iter().map(|file| file.path.clone()).collect()
    }

    /// The paths of all texts, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(path, _)| path)
    }

    /// All texts, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(|file| Some((file.path.as_str(), text_of(file)?)))
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Takes a file out of the tree; whether there was one.
    pub fn remove(&mut self, path: &str) -> bool {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_there = matches!(self.walk(path), Ok(Some(Place::File(file))) if file.path == path);
        is_there && self.root.make(parents).entries_mut().remove(name).is_some()
    }

    /// Puts all texts of another tree into this one, over those with the same paths.
    pub fn merge(&mut self, other: Self) {
        for (path, text) in other.iter() {
            self.put(path.to_owned(), text.to_owned());
        }
    }

    /// Whether there is a folder with this path.
    pub fn has_folder(&self, path: &str) -> bool {
        matches!(self.walk(path), Ok(Some(Place::Folder(folder, _))) if !folder.entries().is_empty())
    }

    /// What a normalised path leads to, its links followed. A link out of the tree and a file that
    /// cannot be read are errors.
    pub(crate) fn find(&self, path: &str) -> Result<Found<'_>> {
        match self.walk(path)? {
            None => Ok(Found::Nothing),
            Some(Place::Folder(_, path)) => Ok(Found::Folder(path)),
            Some(Place::File(file)) => match file.content() {
                Content::Text(text) => Ok(Found::File(Bytes::Text(text))),
                Content::Bytes(bytes) => Ok(Found::File(Bytes::Binary(bytes))),
                Content::Unread(reason) => {
                    Err(Error::Unread { path: path.to_owned(), reason: reason.clone() })
                }
            },
        }
    }

    /// The files of an artifact that a kustomization of this tree refers to.
    pub(crate) fn base(&self, artifact: &OciArtifact) -> Result<&Self> {
        match &self.bases {
            Some(bases) => bases.get(artifact),
            None => Err(Error::NoBases { artifact: Box::new(artifact.clone()) }),
        }
    }

    /// The paths of all files below a folder and of the links to files, sorted, whatever stands in
    /// them; none is read.
    pub(crate) fn paths_below(&self, path: &str) -> Vec<String> {
        let Ok(Some(Place::Folder(folder, _))) = self.walk(path) else { return Vec::new() };
        let mut found = Vec::new();
        let mut open = vec![(path.to_owned(), folder)];
        while let Some((path, folder)) = open.pop() {
            for (name, entry) in folder.entries() {
                let path = join(&path, name);
                match entry {
                    Entry::Folder(inner) => open.push((path, inner)),
                    Entry::File(_) => found.push(path),
                    Entry::Link(_) | Entry::Written(_) if self.file(&path).is_some() => {
                        found.push(path);
                    }
                    Entry::Link(_) | Entry::Written(_) => {}
                }
            }
        }
        found.sort();
        found
    }

    /// The same tree with only some of its files, and without links.
    pub(crate) fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut kept = Self { root: Folder::default(), bases: self.bases.clone() };
        for file in self.all_files().into_iter().filter(|file| keep(&file.path)) {
            kept.put_file(file.clone());
        }
        kept
    }

    /// Puts a file whose path this crate has made from checked names.
    pub(crate) fn put(&mut self, path: String, text: String) {
        self.put_file(File::of_text(path, text));
    }

    fn put_file(&mut self, file: File) {
        self.put_entry(&file.path.clone(), Entry::File(file));
    }

    fn put_entry(&mut self, path: &str, entry: Entry) {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.root.make(parents).entries_mut().insert(name.to_owned(), entry);
    }

    fn file(&self, path: &str) -> Option<&File> {
        match self.walk(path) {
            Ok(Some(Place::File(file))) => Some(file),
            _ => None,
        }
    }

    /// The files that count among the tree's texts, if they are texts, sorted by path.
    fn files(&self) -> impl Iterator<Item = &File> {
        self.all_files().into_iter().filter(|file| file.size() <= MAX_TEXT)
    }

    /// All files, sorted by path.
    fn all_files(&self) -> Vec<&File> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(folder) = open.pop() {
            for entry in folder.entries().values() {
                match entry {
                    Entry::Folder(inner) => open.push(inner),
                    Entry::File(file) => found.push(file),
                    Entry::Link(_) | Entry::Written(_) => {}
                }
            }
        }
        found.sort_by_key(|file| file.path.as_str());
        found
    }
}

/// Trees are equal when their texts are.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Tree {}

fn text_of(file: &File) -> Option<&str> {
    match file.content() {
        Content::Text(text) => Some(text),
        _ => None,
    }
}

/// The normalised path of a file.
fn checked(path: &str) -> Result<String> {
    let normal = normalize(path)?;
    match normal.is_empty() {
        true => Err(Error::Outside { path: path.to_owned() }),
        false => Ok(normal),
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

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

    #[test]
    fn what_is_no_text_is_found_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("binary"), [0xff, 0xfe]).unwrap();
        fs::write(dir.path().join("big"), "x".repeat((MAX_TEXT + 1) as usize)).unwrap();
        for tree in [Tree::read(dir.path()).unwrap(), Tree::open(dir.path()).unwrap()] {
            assert_eq!((tree.len(), tree.get("big")), (0, None));
            assert!(matches!(tree.find("binary"), Ok(Found::File(Bytes::Binary(&[0xff, 0xfe])))));
            assert!(matches!(tree.find("big"), Ok(Found::File(Bytes::Text(_)))));
            assert!(matches!(tree.find("none"), Ok(Found::Nothing)));
            assert_eq!(tree.paths_below(""), ["big", "binary"]);
        }
    }

    #[test]
    fn a_folder_is_read_when_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        tree(&[("a/b", "1"), ("c/d", "2")]).write(dir.path()).unwrap();
        let opened = Tree::open(dir.path()).unwrap();
        assert_eq!(opened.get("a/b"), Some("1"));
        tree(&[("a/b", "3"), ("c/d", "4")]).write(dir.path()).unwrap();
        assert_eq!([opened.get("a/b"), opened.get("c/d")], [Some("1"), Some("4")]);
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_are_followed_within_the_tree_and_never_written_through() {
        use std::os::unix::fs::symlink;
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree(&[("x/y/a.yaml", "a"), ("x/z/b.yaml", "b")]).write(dir.path()).unwrap();
        for (target, link) in [
            (outside.path(), "out"),
            (Path::new("nowhere"), "dead"),
            (Path::new("x/y/a.yaml"), "file"),
            (Path::new("x/y"), "folder"),
            (Path::new("folder"), "twice"),
            (Path::new("."), "self"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let read = Tree::read(dir.path()).unwrap();
        assert_eq!(read.paths().collect::<Vec<_>>(), ["x/y/a.yaml", "x/z/b.yaml"]);
        for path in ["file", "folder/a.yaml", "twice/a.yaml", "self/self/x/y/a.yaml"] {
            assert_eq!(read.get(path), Some("a"), "{path}");
        }
        assert!(matches!(read.find("twice"), Ok(Found::Folder(path)) if path == "x/y"));
        assert_eq!((read.get("out"), read.has_folder("out")), (None, false));
        for path in ["out", "out/x.yaml", "dead"] {
            assert!(matches!(read.find(path), Err(Error::LinkOut { .. })), "{path}");
        }
        assert!(matches!(
            tree(&[("out/x.yaml", "")]).write(dir.path()),
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
