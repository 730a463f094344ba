//! Which files a build reads: more of them than it does, and never fewer.
//!
//! Whatever kustomize reads, a kustomization names in some text. So every text in one that could be a
//! path counts, whether or not it is meant as one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bootstrap::LISTS;
use crate::tree::Changes;
use crate::{Tree, kustomize, tree, yaml};

/// Fields whose files name further files.
const CONFIGURED: [&str; 3] = ["generators", "transformers", "validators"];

/// Paths: each stands for itself and for all below it.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    paths: BTreeSet<String>,
    /// The files that were searched for texts, with the folders that these are relative to.
    searched: BTreeSet<(String, String)>,
}

impl Inputs {
    /// What the build of a folder reads at most.
    pub(super) fn of(tree: &Tree, folder: &str) -> Self {
        let mut inputs = Self::default();
        inputs.add_folder(tree, folder);
        inputs
    }

    /// Whether one of these paths is among them.
    pub(super) fn has_any(&self, changes: &Changes) -> bool {
        let Changes::Paths(paths) = changes else { return true };
        self.paths.iter().any(|input| {
            if input.is_empty() {
                return !paths.is_empty();
            }
            let below = format!("{input}/");
            paths.contains(input)
                || paths.range(below.clone()..).next().is_some_and(|path| path.starts_with(&below))
        })
    }

    fn add_folder(&mut self, tree: &Tree, folder: &str) {
        if !self.paths.insert(folder.to_owned()) {
            return;
        }
        match file(tree, folder) {
            Some(path) => self.add_texts(tree, folder, &path),
            // Flux makes one of what is below; folders there may have their own.
            None => below(tree, folder).for_each(|inner| self.add_folder(tree, &inner)),
        }
    }

    /// What a file's texts name.
    fn add_texts(&mut self, tree: &Tree, folder: &str, path: &str) {
        if !self.searched.insert((folder.to_owned(), path.to_owned())) {
            return;
        }
        let documents = yaml::parse_all(tree.get(path).unwrap_or_default()).unwrap_or_default();
        for document in &documents {
            let mut texts = Vec::new();
            collect(document, &mut texts);
            for text in texts {
                // `key=path`, as generators have it.
                let parts = [Some(text), text.split_once('=').map(|(_, path)| path)];
                for path in parts.into_iter().flatten() {
                    let Ok(path) = tree::resolve(folder, path) else { continue };
                    match tree.get(&path) {
                        None if file(tree, &path).is_some() => self.add_folder(tree, &path),
                        _ => drop(self.paths.insert(path)),
                    }
                }
            }
            for path in CONFIGURED.iter().flat_map(|field| listed(document, field)) {
                let Ok(path) = tree::resolve(folder, path) else { continue };
                if tree.get(&path).is_some() {
                    self.add_texts(tree, folder, &path);
                    let own = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    self.add_texts(tree, own, &path);
                }
            }
        }
    }
}

/// The file of a folder that says how it is built.
pub(super) fn file(tree: &Tree, folder: &str) -> Option<String> {
    LISTS.iter().map(|name| tree::join(folder, name)).find(|path| tree.get(path).is_some())
}

/// The files of objects that the build of a folder takes.
pub(super) fn taken(tree: &Tree, folder: &str) -> BTreeSet<String> {
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    take(tree, folder, &mut files, &mut folders);
    files
}

fn take(tree: &Tree, folder: &str, files: &mut BTreeSet<String>, folders: &mut BTreeSet<String>) {
    if !folders.insert(folder.to_owned()) {
        return;
    }
    let text = match file(tree, folder) {
        Some(path) => tree.get(&path).unwrap_or_default().to_owned(),
        None => kustomize::generate(tree, folder).unwrap_or_default(),
    };
    for document in yaml::parse_all(&text).unwrap_or_default() {
        for field in ["resources", "bases", "components"] {
            for path in listed(&document, field) {
                let Ok(path) = tree::resolve(folder, path) else { continue };
                match tree.get(&path) {
                    Some(_) => drop(files.insert(path)),
                    None if tree.has_folder(&path) => take(tree, &path, files, folders),
                    None => {}
                }
            }
        }
    }
}

/// The folders below one that have a kustomization.
pub(super) fn below<'a>(tree: &'a Tree, folder: &str) -> impl Iterator<Item = String> + use<'a> {
    let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let folder = folder.to_owned();
    let folders: BTreeSet<String> = tree
        .paths()
        .filter(|path| path.starts_with(&base))
        .filter_map(|path| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            LISTS.contains(&name).then(|| folder.to_owned())
        })
        .filter(|inner| *inner != folder)
        .collect();
    folders.into_iter()
}

/// The texts of a list.
pub(super) fn listed<'a>(document: &'a Value, field: &str) -> Vec<&'a str> {
    let list = document.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, texts)),
        Value::Object(map) => map.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}
