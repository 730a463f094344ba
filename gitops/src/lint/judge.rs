//! All of a tree: files against the schemas, builds and what none takes against the policies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::file::{self, Document};
use super::pod::Pod;
use super::policies::{self, Policy};
use super::scope::Scope;
use super::{Finding, IGNORE_ANNOTATION, Options, Report};
use crate::builds::{Build, Builds};
use crate::render::MODELKIT_DIGEST_ANNOTATION;
use crate::schema::{Fault, schemas, validate};
use crate::{Object, ObjectId, Tree};

pub(super) fn run(tree: &Tree, options: &Options) -> Report {
    let (documents, unread) = file::read(tree);
    let builds = Builds::of(tree);
    let mut judge = Judge {
        documents: &documents,
        options,
        report: Report::default(),
        substitutes: builds.builds.iter().any(|build| {
            build.object.as_ref().is_some_and(|object| object.at("/spec/postBuild").is_some())
        }),
    };
    let files: BTreeSet<&str> = documents.iter().map(|document| document.path.as_str()).collect();
    judge.report.n_files = files.len();
    for unread in unread {
        let at = (unread.line, unread.column);
        judge.add("yaml", &unread.path, at, None, "", unread.message);
    }
    documents.iter().for_each(|document| judge.schema(document));
    judge.failed(tree, &builds);
    let taken: BTreeMap<&crate::builds::BuildId, BTreeSet<String>> =
        builds.builds.iter().map(|build| (&build.id, build.files(tree))).collect();
    for root in builds.builds.iter().map(|build| &build.id.root).collect::<BTreeSet<_>>() {
        let of_root: Vec<&Build> =
            builds.builds.iter().filter(|build| build.id.root == *root).collect();
        let built = |build: &&Build| -> Vec<Object> {
            build.objects.as_ref().as_ref().ok().cloned().unwrap_or_default()
        };
        let objects: Vec<(&Build, Vec<Object>)> =
            of_root.iter().map(|build| (*build, built(build))).collect();
        let all = objects.iter().flat_map(|(_, objects)| objects).collect();
        let scope = Scope { objects: all };
        for (build, objects) in &objects {
            let sources = &taken[&build.id];
            objects.iter().for_each(|object| judge.built(object, build, sources, &scope));
            judge.timeouts(build, objects);
        }
    }
    let is_taken = |path: &str| taken.values().any(|files| files.contains(path));
    let left: Vec<&Document> =
        documents.iter().filter(|document| !is_taken(&document.path)).collect();
    let scope = Scope { objects: left.iter().filter_map(|it| it.object.as_ref()).collect() };
    for document in left {
        if let Some(object) = &document.object {
            judge.policies(object, Some(document), &document.path, &scope);
        }
    }
    judge.end()
}

struct Judge<'a> {
    documents: &'a [Document],
    options: &'a Options,
    report: Report,
    /// Whether Flux puts values in the place of `${…}` after it has built.
    substitutes: bool,
}

impl Judge<'_> {
    fn add(
        &mut self,
        policy: &'static str,
        path: &str,
        at: (usize, usize),
        object: Option<ObjectId>,
        field: &str,
        message: String,
    ) {
        let policy = Policy::of(policy);
        if !self.options.asks(policy) {
            return;
        }
        let (id, severity, (line, column)) = (policy.id, policy.severity, at);
        let (path, field) = (path.to_owned(), field.to_owned());
        self.report.findings.push(Finding {
            policy: id,
            severity,
            path,
            line,
            column,
            object,
            field,
            message,
        });
    }

    /// A document, as it stands, against the schema of its kind.
    fn schema(&mut self, document: &Document) {
        let text = |key: &str| document.value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let Some(of) = schemas().kind(api_version, kind, self.options.flux) else {
            // kustomize's own transformers and the like are no objects.
            if let Some(object) = &document.object {
                self.unknown(document, object);
            }
            return;
        };
        // What SOPS has encrypted is something else than it will be.
        if document.value.get("sops").is_some() {
            return;
        }
        let flux = self.options.flux;
        let mut faults = validate(schemas(), of, &document.value, document.is_patch, flux);
        let is_named =
            ["name", "generateName"].iter().any(|key| document.value["metadata"][key].is_string());
        if !document.is_patch && !is_named {
            faults.push(Fault {
                pointer: "/metadata".to_owned(),
                message: "name is missing".to_owned(),
            });
        }
        let id = document.object.as_ref().map(Object::id).unwrap_or_else(|| named(&document.value));
        faults.retain(|fault| self.is_final(&document.value, fault));
        for fault in faults {
            let at = document.places.find(&fault.pointer);
            self.add("schema", &document.path, at, Some(id.clone()), &fault.pointer, fault.message);
        }
    }

    /// A kind without a schema: of a group that is known another version is, or nothing is known.
    fn unknown(&mut self, document: &Document, object: &Object) {
        let flux = self.options.flux;
        let served = schemas().instead_of(object.api_version(), object.kind(), flux);
        if served.is_empty() {
            let key = (object.api_version().to_owned(), object.kind().to_owned());
            *self.report.unknown.entry(key).or_default() += 1;
            return;
        }
        let message =
            format!("{} is not served; use {}", object.api_version(), served.join(" or "));
        let at = document.places.find("/apiVersion");
        self.add("api-version", &document.path, at, Some(object.id()), "/apiVersion", message);
    }

    /// Whether a value is what it will be: Flux may put others in its place.
    fn is_final(&self, object: &Value, fault: &Fault) -> bool {
        let value = object.pointer(&fault.pointer).and_then(Value::as_str);
        !self.substitutes || !value.is_some_and(|text| text.contains("${"))
    }

    /// Builds that fail. A path that is not there is told where it is written.
    fn failed(&mut self, tree: &Tree, builds: &Builds) {
        for (build, why) in policies::builds(builds) {
            let written = build.object.as_ref().and_then(|object| {
                let document = self.documents.iter().find(|document| {
                    document.object.as_ref().is_some_and(|it| it.id().is_same(&object.id()))
                })?;
                Some((document, object.id()))
            });
            let folder = format!("./{}", build.folder);
            match written {
                Some((document, id)) => {
                    let at = document.places.find("/spec/path");
                    let (policy, message) = match tree.has_folder(&build.folder) {
                        true => ("build", format!("{folder} does not build: {why}")),
                        false => ("flux-path", format!("there is no folder {folder}")),
                    };
                    self.add(policy, &document.path, at, Some(id), "/spec/path", message);
                }
                None => self.add("build", &build.folder, (0, 0), None, "", why),
            }
        }
        let (options, documents) = (self.options, self.documents);
        if let Some(branches) = &options.branches {
            let sources: Vec<&Object> =
                documents.iter().filter_map(|document| document.object.as_ref()).collect();
            for document in documents {
                let Some(object) = &document.object else { continue };
                for (field, message) in policies::branches(object, &sources, branches) {
                    let at = document.places.find(&field);
                    self.add("flux-branch", &document.path, at, Some(object.id()), &field, message);
                }
            }
        }
    }

    fn timeouts(&mut self, build: &Build, objects: &[Object]) {
        let Some(kustomization) = &build.object else { return };
        let document = self.documents.iter().find(|document| {
            document.object.as_ref().is_some_and(|it| it.id().is_same(&kustomization.id()))
        });
        for (field, message) in policies::timeouts(kustomization, objects) {
            let path = document.map_or(build.folder.as_str(), |document| &document.path);
            let at = document.map_or((0, 0), |document| document.places.find(&field));
            self.add("flux-timeout", path, at, Some(kustomization.id()), &field, message);
        }
    }

    /// An object that was built: told where it came from.
    fn built(
        &mut self,
        object: &Object,
        build: &Build,
        files: &BTreeSet<String>,
        scope: &Scope<'_>,
    ) {
        let document = source(self.documents, object, files);
        let path =
            document.map_or(build.folder.as_str(), |document| document.path.as_str()).to_owned();
        let flux = self.options.flux;
        if let Some(of) = schemas().kind(object.api_version(), object.kind(), flux)
            && object.at("/sops").is_none()
        {
            for fault in validate(schemas(), of, object.value(), false, flux) {
                // What stands so in the file was told there.
                let stands = document.is_some_and(|it| {
                    it.value.pointer(&fault.pointer) == object.at(&fault.pointer)
                });
                if stands || !self.is_final(object.value(), &fault) {
                    continue;
                }
                let at = document.map_or((0, 0), |it| it.places.find(&fault.pointer));
                let message = format!("once built, {}", fault.message);
                self.add("schema", &path, at, Some(object.id()), &fault.pointer, message);
            }
        }
        self.policies(object, document, &path, scope);
    }

    fn policies(
        &mut self,
        object: &Object,
        document: Option<&Document>,
        path: &str,
        scope: &Scope<'_>,
    ) {
        self.report.n_objects += 1;
        let pod = Pod::of(object);
        self.weigh(object, pod.as_ref());
        let ignored = object.annotation(IGNORE_ANNOTATION).unwrap_or_default();
        let is_ignored =
            |id: &str| ignored.split(',').any(|it| matches!(it.trim(), "*") || it.trim() == id);
        for policy in policies::policies() {
            if !self.options.asks(policy) || is_ignored(policy.id) {
                continue;
            }
            for (field, message) in policy.ask(object, pod.as_ref(), scope, self.options) {
                let at = document.map_or((0, 0), |document| document.places.find(&field));
                self.add(policy.id, path, at, Some(object.id()), &field, message);
            }
        }
    }

    /// Notes images with a model of which nobody knows how large it is.
    fn weigh(&mut self, object: &Object, pod: Option<&Pod<'_>>) {
        let Some(pod) = pod else { return };
        let annotations = object.at("/spec/template/metadata/annotations");
        if annotations.and_then(|it| it.get(MODELKIT_DIGEST_ANNOTATION)).is_none() {
            return;
        }
        for container in pod.containers() {
            let image = container.text("/image");
            if !image.is_empty() && !self.options.weights.contains_key(image) {
                self.report.unweighed.insert(image.to_owned());
            }
        }
    }

    /// Several builds may have the same to say of one line.
    fn end(mut self) -> Report {
        let key = |it: &Finding| {
            (it.path.clone(), it.line, it.column, it.policy, it.field.clone(), it.message.clone())
        };
        self.report.findings.sort_by_key(key);
        self.report.findings.dedup_by_key(|finding| key(finding));
        self.report
    }
}

/// What an object without a name of its own is called.
fn named(value: &Value) -> ObjectId {
    let text = |pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let api_version = text("/apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    ObjectId {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    }
}

/// The document that an object was built of: kustomize may have put something before or behind its
/// name.
fn source<'a>(
    documents: &'a [Document],
    object: &Object,
    files: &BTreeSet<String>,
) -> Option<&'a Document> {
    let of_kind = documents.iter().filter_map(|document| {
        let of = document.object.as_ref().filter(|it| it.kind() == object.kind())?;
        files.contains(&document.path).then_some((document, of))
    });
    let fits = |of: &Object| match () {
        () if of.name() == object.name() && of.namespace() == object.namespace() => 3,
        () if of.name() == object.name() => 2,
        () if object.name().contains(of.name()) => 1,
        () => 0,
    };
    let best = of_kind.map(|(document, of)| (fits(of), document)).filter(|(fits, _)| *fits > 0);
    best.max_by_key(|(fits, _)| *fits).map(|(_, document)| document)
}
