//! From which folders a repository is built: first those at which a Flux begins, with the
//! Kustomizations that they build in turn; then kustomize folders that nobody takes, then what is
//! left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::inputs::{self, Inputs};
use super::{Build, BuildId, Builds};
use crate::bootstrap::stands_for;
use crate::error::chain;
use crate::flux::{self, SourceRef};
use crate::kustomize::{self, Overlay};
use crate::tree::Changes;
use crate::{Object, ObjectId, Tree, reconcile, tree, yaml};

/// Fields of a Flux Kustomization that change what is built and that nobody here follows.
const BUILDING: [&str; 2] = ["buildMetadata", "ignore"];

/// The same where the repository does not have the values.
const SUBSTITUTE_FROM: &str = "postBuild.substituteFrom";

/// The source by which Flux follows the repository that it is bootstrapped from.
const OWN: (&str, &str, &str) = ("GitRepository", "flux-system", "flux-system");

pub(super) fn run(tree: &Tree, earlier: Option<(&Builds, &Changes)>) -> Builds {
    let (kustomizations, sources) = written(tree);
    let mut search = Search {
        tree,
        earlier,
        sources,
        artifacts: HashMap::new(),
        found: BTreeMap::new(),
        waiting: Vec::new(),
        elsewhere: Vec::new(),
    };
    for (file, object) in &kustomizations {
        let folder = folder_of(object);
        if file.starts_with(&below(&folder)) {
            search.kustomization(&folder, object);
        }
    }
    let asked_for: BTreeSet<String> =
        kustomizations.iter().map(|(_, object)| folder_of(object)).collect();
    search.settle();
    search.folders(&asked_for);
    search.settle();
    for (file, object) in &kustomizations {
        if !search.has(object) {
            search.kustomization(file.rsplit_once('/').map_or("", |(folder, _)| folder), object);
        }
    }
    search.settle();
    search.folders(&BTreeSet::new());
    search.settle();
    search.elsewhere.sort();
    search.elsewhere.dedup();
    Builds { builds: search.found.into_values().collect(), elsewhere: search.elsewhere }
}

struct Search<'a> {
    tree: &'a Tree,
    earlier: Option<(&'a Builds, &'a Changes)>,
    sources: Vec<Object>,
    /// The files that Flux takes, by what the source says besides.
    artifacts: HashMap<Option<String>, Arc<Tree>>,
    found: BTreeMap<BuildId, Build>,
    /// Kustomizations whose values may come from what is built later, with their roots.
    waiting: Vec<(String, Object)>,
    elsewhere: Vec<(ObjectId, String)>,
}

impl Search<'_> {
    /// Builds what a Kustomization asks for, and what the Kustomizations in that ask for.
    fn kustomization(&mut self, root: &str, object: &Object) {
        self.build(root, object, false);
    }

    /// Builds what waits for values: as far as they are there, then all of it.
    fn settle(&mut self) {
        loop {
            let before = std::mem::take(&mut self.waiting);
            let n_before = before.len();
            before.iter().for_each(|(root, object)| self.build(root, object, false));
            if self.waiting.len() >= n_before {
                break;
            }
        }
        let left = std::mem::take(&mut self.waiting);
        left.iter().for_each(|(root, object)| self.build(root, object, true));
    }

    /// Builds a Kustomization, unless values are missing that may still come; in the end it is built
    /// without them.
    fn build(&mut self, root: &str, object: &Object, is_end: bool) {
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
            Ok((mut kustomization, beyond)) => {
                let source = &kustomization.source;
                if !self.is_here(source, &folder) {
                    let source = format!("{}/{}/{}", source.kind, source.namespace, source.name);
                    self.elsewhere.push((object.id(), source));
                    return;
                }
                let mut beyond: Vec<&'static str> =
                    beyond.into_iter().filter(|field| BUILDING.contains(field)).collect();
                if !reconcile::missing(&kustomization, &|id| Ok(self.object(root, id))).is_empty() {
                    if !is_end {
                        self.waiting.push((root.to_owned(), object.clone()));
                        return;
                    }
                    kustomization.post_build.is_partial = true;
                    beyond.push(SUBSTITUTE_FROM);
                }
                (Ok(kustomization), beyond)
            }
            Err(error) => (Err(error), Vec::new()),
        };
        let artifact = self.artifact(kustomization.as_ref().ok().map(|it| &it.source));
        let has_values = |it: &flux::Kustomization| !it.post_build.substitute_from.is_empty();
        let is_same = |build: &Build| {
            build.folder == folder
                && !kustomization.as_ref().is_ok_and(has_values)
                && self.asks_the_same(&id, object)
        };
        let objects = match self.unchanged(&id, &folder).filter(|build| is_same(build)) {
            Some(build) => Arc::clone(&build.objects),
            None => Arc::new(kustomization.and_then(|kustomization| {
                reconcile::build(&kustomization, &artifact, &|id| Ok(self.object(root, id)))
                    .map_err(|error| chain(&error))
            })),
        };
        let build = Build {
            id: id.clone(),
            folder,
            unheeded,
            object: Some(object.clone()),
            artifact: Some(artifact),
            objects: Arc::clone(&objects),
        };
        self.found.insert(id, build);
        self.inner(root, &objects);
    }

    /// The files that Flux takes of this repository by a source.
    fn artifact(&mut self, source: Option<&SourceRef>) -> Arc<Tree> {
        let is_it = |object: &&Object| {
            source.is_some_and(|it| {
                (object.kind(), object.namespace(), object.name())
                    == (it.kind.as_str(), it.namespace.as_str(), it.name.as_str())
            })
        };
        let defined = self.sources.iter().find(is_it);
        let ignore = defined.and_then(|it| it.at("/spec/ignore")).and_then(Value::as_str);
        let made = self.artifacts.entry(ignore.map(str::to_owned));
        Arc::clone(made.or_insert_with(|| Arc::new(flux::artifact(self.tree, ignore))))
    }

    /// An object among what is built from the same root.
    fn object(&self, root: &str, id: &ObjectId) -> Option<Object> {
        let of_root = self.found.values().filter(|build| build.id.root == root);
        let mut objects = of_root.flat_map(|build| build.objects.iter().flatten());
        objects.find(|object| object.id().is_same(id)).cloned()
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
                artifact: None,
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
        let has_ignored = changed.has(|path| path.ends_with(".sourceignore"));
        (!has_ignored && !Inputs::of(self.tree, folder).has_any(changed)).then_some(build)
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
        if !text.contains(".toolkit.fluxcd.io/") && !text.contains("FluxInstance") {
            continue;
        }
        for object in Object::parse_all(text).unwrap_or_default() {
            if let Some([source, kustomization]) = stands_for(&object) {
                sources.push(source);
                kustomizations.push((path.to_owned(), kustomization));
            }
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
