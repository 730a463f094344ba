//! A project folder, and a layout beside it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use kitfile::Kitfile;
use modelkit::{
    Event, ModelKit, PackOptions, Packed, Result, Selection, Sources, UnpackOptions, Unpacked,
};
use registry::Layout;
use tempfile::TempDir;

pub(crate) struct Project {
    pub(crate) folder: TempDir,
    pub(crate) layout: Layout,
}

pub(crate) fn quiet(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn selection(filters: &[&str]) -> Selection {
    let filters = filters.iter().map(|filter| filter.parse().unwrap()).collect();
    Selection { filters, remote_datasets: false }
}

pub(crate) fn kitfile(text: &str) -> Kitfile {
    Kitfile::parse(&format!("manifestVersion: 1.0.0\n{text}")).unwrap().kitfile
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::init(&folder.path().join("layout")).unwrap();
        fs::create_dir(folder.path().join("context")).unwrap();
        Self { folder, layout }
    }

    /// A project with these files; each holds its own path.
    pub(crate) fn with(paths: &[&str]) -> Self {
        let project = Self::new();
        for path in paths {
            project.file(path, path.as_bytes());
        }
        project
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self, path: &str, content: &[u8]) -> PathBuf {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.context().join(path)).unwrap();
    }

    pub(crate) fn try_pack(&self, text: &str, options: &PackOptions) -> Result<Packed> {
        modelkit::pack(&kitfile(text), &self.context(), &self.layout, options, &quiet)
    }

    pub(crate) fn pack(&self, text: &str) -> Packed {
        self.try_pack(text, &PackOptions::default()).unwrap()
    }

    pub(crate) fn kit(&self, packed: &Packed) -> ModelKit {
        ModelKit::read(&self.layout, &packed.descriptor).unwrap()
    }

    pub(crate) fn try_unpack(
        &self,
        packed: &Packed,
        filters: &[&str],
        options: &UnpackOptions,
    ) -> Result<Unpacked> {
        self.unpack_selection(packed, selection(filters), options)
    }

    /// Unpacks datasets from other ModelKits, too.
    pub(crate) fn try_unpack_all(&self, packed: &Packed, filters: &[&str]) -> Result<Unpacked> {
        let selection = Selection { remote_datasets: true, ..selection(filters) };
        self.unpack_selection(packed, selection, &UnpackOptions::default())
    }

    fn unpack_selection(
        &self,
        packed: &Packed,
        selection: Selection,
        options: &UnpackOptions,
    ) -> Result<Unpacked> {
        unpack(self.kit(packed), &self.layout, selection, &self.path("out"), options)
    }

    pub(crate) fn unpack(&self, packed: &Packed, filters: &[&str]) -> BTreeMap<String, Vec<u8>> {
        self.try_unpack(packed, filters, &UnpackOptions::default()).unwrap();
        tree(&self.path("out"))
    }
}

/// Unpacks a ModelKit of a layout, quietly.
pub(crate) fn unpack(
    kit: ModelKit,
    layout: &Layout,
    selection: Selection,
    into: &Path,
    options: &UnpackOptions,
) -> Result<Unpacked> {
    modelkit::unpack(&Sources::local(kit, layout, selection)?, into, options, &quiet)
}

/// All files beneath a folder with their content, and all folders, whose names end in `/`.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut tree = BTreeMap::new();
    add(folder, "", &mut tree);
    tree
}

fn add(folder: &Path, prefix: &str, tree: &mut BTreeMap<String, Vec<u8>>) {
    for item in fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        let path = format!("{prefix}{}", item.file_name().to_str().unwrap());
        if item.file_type().unwrap().is_dir() {
            add(&item.path(), &format!("{path}/"), tree);
            tree.insert(format!("{path}/"), Vec::new());
        } else {
            tree.insert(path, fs::read(item.path()).unwrap());
        }
    }
}

/// The names of the files in a tree.
pub(crate) fn files(tree: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    tree.keys().map(String::as_str).filter(|path| !path.ends_with('/')).collect()
}

/// An error and all its causes, joined by `: `.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
