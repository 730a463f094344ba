//! From which folders a repository is built: first those at which a Flux begins, with the
//! Kustomizations that they build in turn; then kustomize folders that nobody takes, then what is
//! left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::inputs::{self, Inputs};
use super::{Build, BuildId, Builds};
use crate::error::chain;
use crate::flux::{self, SourceRef};
use crate::kustomize::{self, Overlay};
use crate::{Object, ObjectId, Tree, reconcile, tree, yaml};

/// Fields of a Flux Kustomization that change what is built and that nobody here follows.
const BUILDING: [&str; 5] =
    ["buildMetadata", "components", "ignore", "ignoreMissingComponents", "postBuild"];

/// The source by which Flux follows the repository that it is bootstrapped from.
const OWN: (&str, &str, &str) = ("GitRepository", "flux-system", "flux-system");

pub(super) fn run(tree: &Tree, earlier: Option<(&Builds, &BTreeSet<String>)>) -> Builds {
    let (kustomizations, sources) = written(tree);
    let mut search =
        Search { tree, earlier, sources, found: BTreeMap::new(), elsewhere: Vec::new() };
    for (file, object) in &kustomizations {
        let folder = folder_of(object);
        if file.starts_with(&below(&folder)) {
            search.kustomization(&folder, object);
        }
    }
    let asked_for: BTreeSet<String> =
        kustomizations.iter().map(|(_, object)| folder_of(object)).collect();
    search.folders(&asked_for);
    for (file, object) in &kustomizations {
        if !search.has(object) {
            search.kustomization(file.rsplit_once('/').map_or("", |(folder, _)| folder), object);
        }
    }
    search.folders(&BTreeSet::new());
    search.elsewhere.sort();
    search.elsewhere.dedup();
    Builds { builds: search.found.into_values().collect(), elsewhere: search.elsewhere }
}

struct Search<'a> {
    tree: &'a Tree,
    earlier: Option<(&'a Builds, &'a BTreeSet<String>)>,
    sources: Vec<Object>,
    found: BTreeMap<BuildId, Build>,
    elsewhere: Vec<(ObjectId, String)>,
}

impl Search<'_> {
    /// Builds what a Kustomization asks for, and what the Kustomizations in that ask for.
    fn kustomization(&mut self, root: &str, object: &Object) {
        let kustomization = Some((object.namespace().to_owned(), object.name().to_owned()));
        let id = BuildId { root: root.to_owned(), kustomization };
        if self.found.contains_key(&id) {
            return;
        }
        let folder = folder_of(object);
        let read = match flux::Kustomization::read_partly(object) {
            Ok(Some(read)) => Ok(read),
            Ok(None) => return,
            Err(error) => Err(chain(&error)),
        };
        let (kustomization, unheeded) = match read {
            Ok((kustomization, beyond)) => {
                let source = &kustomization.source;
                if !self.is_here(source, &folder) {
                    let source = format!("{}/{}/{}", source.kind, source.namespace, source.name);
                    self.elsewhere.push((object.id(), source));
                    return;
                }
                let beyond = beyond.into_iter().filter(|field| BUILDING.contains(field)).collect();
                (Ok(kustomization), beyond)
            }
            Err(error) => (Err(error), Vec::new()),
        };
        let is_same = |build: &Build| build.folder == folder && self.asks_the_same(&id, object);
        let objects = match self.unchanged(&id, &folder).filter(|build| is_same(build)) {
            Some(build) => Arc::clone(&build.objects),
            None => Arc::new(kustomization.and_then(|kustomization| {
                reconcile::build(&kustomization, self.tree).map_err(|error| chain(&error))
            })),
        };
        let build = Build {
            id: id.clone(),
            folder,
            unheeded,
            object: Some(object.clone()),
            objects: Arc::clone(&objects),
        };
        self.found.insert(id, build);
        self.inner(root, &objects);
    }

    /// Builds the kustomize folders that nothing has taken so far, but for some.
    fn folders(&mut self, but: &BTreeSet<String>) {
        let folders: Vec<String> = self.own_folders();
        let mut used = self.used(&folders);
        used.extend(self.found.values().map(|build| build.folder.clone()));
        for folder in
            folders.iter().filter(|folder| !used.contains(*folder) && !but.contains(*folder))
        {
            let id = BuildId { root: folder.clone(), kustomization: None };
            let objects = match self.unchanged(&id, folder) {
                Some(build) => Arc::clone(&build.objects),
                None => Arc::new(
                    kustomize::build(self.tree, folder, &Overlay::default())
                        .map_err(|error| chain(&error)),
                ),
            };
            let build = Build {
                id: id.clone(),
                folder: folder.clone(),
                unheeded: Vec::new(),
                object: None,
                objects: Arc::clone(&objects),
            };
            self.found.insert(id, build);
            self.inner(folder, &objects);
        }
    }

    /// The Kustomizations among what was built.
    fn inner(&mut self, root: &str, objects: &Result<Vec<Object>, String>) {
        for object in objects.iter().flatten().filter(|object| is_kustomization(object)) {
            self.kustomization(root, object);
        }
    }

    /// A build of the earlier revision of which no file has changed.
    fn unchanged(&self, id: &BuildId, folder: &str) -> Option<&Build> {
        let (earlier, changed) = self.earlier?;
        let build = earlier.find(id)?;
        (!Inputs::of(self.tree, folder).has_any(changed)).then_some(build)
    }

    /// Whether the Kustomization is what it was.
    fn asks_the_same(&self, id: &BuildId, object: &Object) -> bool {
        let earlier = self.earlier.and_then(|(earlier, _)| earlier.find(id));
        earlier.is_some_and(|build| build.object.as_ref() == Some(object))
    }

    /// Whether some build has this Kustomization; its namespace may have been added by one.
    fn has(&self, object: &Object) -> bool {
        self.found.keys().filter_map(|id| id.kustomization.as_ref()).any(|(namespace, name)| {
            name == object.name()
                && (object.namespace().is_empty() || namespace == object.namespace())
        })
    }

    /// Whether a source is this repository; of one that nobody defines, whether it could be.
    fn is_here(&self, source: &SourceRef, folder: &str) -> bool {
        let named = (source.kind.as_str(), source.namespace.as_str(), source.name.as_str());
        let id = |object: &Object| {
            (object.kind().to_owned(), object.namespace().to_owned(), object.name().to_owned())
        };
        let is = |object: &&Object, (kind, namespace, name): (&str, &str, &str)| {
            id(object) == (kind.to_owned(), namespace.to_owned(), name.to_owned())
        };
        if named == OWN {
            return true;
        }
        let url = |object: &Object| object.at("/spec/url").cloned();
        match self.sources.iter().find(|object| is(object, named)) {
            Some(defined) if source.kind == "GitRepository" => {
                match self.sources.iter().find(|object| is(object, OWN)) {
                    Some(own) => url(own) == url(defined),
                    None => self.tree.has_folder(folder),
                }
            }
            Some(_) => false,
            None => source.kind == "GitRepository" && self.tree.has_folder(folder),
        }
    }

    /// The folders with a kustomization that can be built by itself.
    fn own_folders(&self) -> Vec<String> {
        let is_component = |folder: &str| {
            let documents = documents(self.tree, folder);
            documents.iter().any(|it| it.get("kind").and_then(Value::as_str) == Some("Component"))
        };
        let root = inputs::file(self.tree, "").map(|_| String::new());
        let folders = root.into_iter().chain(inputs::below(self.tree, ""));
        folders.filter(|folder| !is_component(folder)).collect()
    }

    /// The folders that others take.
    fn used(&self, folders: &[String]) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let mut take = |folder: &str, document: &Value| {
            for field in ["resources", "bases", "components"] {
                let listed = inputs::listed(document, field).into_iter();
                used.extend(listed.filter_map(|path| tree::resolve(folder, path).ok()));
            }
        };
        for folder in folders {
            documents(self.tree, folder).iter().for_each(|document| take(folder, document));
        }
        // Of a folder without a kustomization Flux makes one, which takes those below it.
        for build in self.found.values() {
            if inputs::file(self.tree, &build.folder).is_none() {
                let made = kustomize::generate(self.tree, &build.folder).unwrap_or_default();
                let documents = yaml::parse_all(&made).unwrap_or_default();
                documents.iter().for_each(|document| take(&build.folder, document));
            }
        }
        used
    }
}

/// The Kustomizations of Flux, with their files, and the sources that stand in the tree.
fn written(tree: &Tree) -> (Vec<(String, Object)>, Vec<Object>) {
    let (mut kustomizations, mut sources) = (Vec::new(), Vec::new());
    let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
    for (path, text) in tree.iter().filter(|(path, _)| is_yaml(path)) {
        if !text.contains(".toolkit.fluxcd.io/") {
            continue;
        }
        for object in Object::parse_all(text).unwrap_or_default() {
            match object.id().group.as_str() {
                "source.toolkit.fluxcd.io" => sources.push(object),
                _ if is_kustomization(&object) => kustomizations.push((path.to_owned(), object)),
                _ => {}
            }
        }
    }
    (kustomizations, sources)
}

fn is_kustomization(object: &Object) -> bool {
    object.kind() == "Kustomization"
        && object.api_version().starts_with("kustomize.toolkit.fluxcd.io/")
}

/// The folder that a Kustomization names.
fn folder_of(object: &Object) -> String {
    tree::confine(object.at("/spec/path").and_then(Value::as_str).unwrap_or_default())
}

fn below(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

fn documents(tree: &Tree, folder: &str) -> Vec<Value> {
    let file = inputs::file(tree, folder);
    let text = file.as_deref().and_then(|file| tree.get(file)).unwrap_or_default();
    yaml::parse_all(text).unwrap_or_default()
}
