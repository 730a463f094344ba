//! What would go wrong with a repository when Flux applied it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bootstrap::stands_for;
use crate::error::chain;
use crate::flux::{GitRepository, Kustomization, SourceRef};
use crate::{
    Error, ImageRef, Object, Problem, Problems, Result, Severity, Tree, layout, reconcile, tree,
};

/// Finds what would not work once this tree is pushed, so that it is not: all problems at once,
/// warnings among them.
///
/// Checked are the Flux objects below `clusters/` (they are what Flux takes, the path of each
/// Kustomization of this repository is in the tree and can be built, the branch is the one that is
/// pushed to, where `branch` names it) and what the Kustomizations of our own kind build (selectors
/// select, ports are there, images are pinned, Flux waits longer than a rollout may take).
///
/// Our own are those that [`crate::render`] writes: `<app>-app`, which takes `apps/<app>` of this
/// repository, or an environment below it. Others are not judged: neither what they are made of elsewhere, nor what of Flux or
/// kustomize this crate does not do itself.
pub fn check(tree: &Tree, branch: Option<&str>) -> Result<Vec<Problem>, Problems> {
    let mut check = Check { tree, problems: Vec::new() };
    let objects = check.cluster_objects();
    check.sources(&objects, branch);
    check.lists();
    let mut built = Vec::new();
    for (path, object) in &objects {
        match Kustomization::read_partly(object) {
            // By whose rights it is applied, and what health is, changes nothing of what is built.
            Ok(Some((kustomization, beyond)))
                if beyond
                    .iter()
                    .all(|field| ["serviceAccountName", "healthCheckExprs"].contains(field)) =>
            {
                built.extend(check.kustomization(path, &kustomization, &objects));
            }
            Ok(Some(_)) => check.path_of(path, object, &objects),
            Ok(None) => {}
            Err(error) => check.error(path, chain(&error)),
        }
    }
    check.twice(&built);
    let problems = check.problems;
    match problems.iter().any(|problem| problem.severity == Severity::Error) {
        true => Err(Problems(problems)),
        false => Ok(problems),
    }
}

/// What a Kustomization of our own kind has become.
struct Built {
    /// The file of the Kustomization.
    path: String,
    name: String,
    objects: Vec<Object>,
}

struct Check<'a> {
    tree: &'a Tree,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn error(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            severity: Severity::Error,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            severity: Severity::Warning,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// The objects of every YAML file below `clusters/`, with their files. What is no object there
    /// (values, patches) is for whoever builds it to judge.
    fn cluster_objects(&self) -> Vec<(String, Object)> {
        let files = self.tree.iter().filter(|(path, _)| {
            path.starts_with("clusters/") && (path.ends_with(".yaml") || path.ends_with(".yml"))
        });
        let objects = files.flat_map(|(path, text)| {
            let objects = Object::parse_all(text).unwrap_or_default();
            let made: Vec<Object> = objects.iter().filter_map(stands_for).flatten().collect();
            objects.into_iter().chain(made).map(move |object| (path.to_owned(), object))
        });
        objects.collect()
    }

    fn sources(&mut self, objects: &[(String, Object)], branch: Option<&str>) {
        for (path, object) in objects {
            match GitRepository::read(object) {
                Ok(Some(source)) if is_ours(object, objects) => {
                    let (Some(watched), Some(pushed)) = (&source.branch, branch) else { continue };
                    if watched != pushed {
                        self.error(
                            path,
                            format!("Flux watches the branch {watched} and would never see what is pushed to {pushed}"),
                        );
                    }
                }
                Ok(_) => {}
                Err(error) => self.error(path, chain(&error)),
            }
        }
    }

    /// A list of Flux' own folder without its components, which older versions wrote: `flux
    /// bootstrap` would apply it in their place.
    fn lists(&mut self) {
        let lists = self.tree.iter().filter(|(path, _)| {
            path.starts_with("clusters/") && path.ends_with("/flux-system/kustomization.yaml")
        });
        let bare: Vec<String> = lists
            .filter(|(_, text)| {
                text.contains("gotk-sync.yaml") && !text.contains("gotk-components")
            })
            .map(|(path, _)| path.to_owned())
            .collect();
        for path in bare {
            self.warn(
                &path,
                "it lists only gotk-sync.yaml: `flux bootstrap` would apply that in the place of Flux itself; delete this file, Flux needs none",
            );
        }
    }

    /// Whether the folder of a Kustomization that is not looked into any further is there.
    fn path_of(&mut self, path: &str, object: &Object, objects: &[(String, Object)]) {
        let text = |pointer| object.at(pointer).and_then(Value::as_str).unwrap_or_default();
        let namespace = match text("/spec/sourceRef/namespace") {
            "" => object.namespace(),
            namespace => namespace,
        };
        let source = SourceRef {
            kind: text("/spec/sourceRef/kind").to_owned(),
            name: text("/spec/sourceRef/name").to_owned(),
            namespace: namespace.to_owned(),
            api_version: None,
        };
        if is_this_repository(&source, objects) {
            self.has_folder(path, &tree::confine(text("/spec/path")));
        }
    }

    fn has_folder(&mut self, path: &str, folder: &str) -> bool {
        let is_there = self.tree.has_folder(folder);
        if !is_there {
            self.error(
                path,
                format!("kustomization path not found: ./{folder} is not in this tree"),
            );
        }
        is_there
    }

    fn kustomization(
        &mut self,
        path: &str,
        kustomization: &Kustomization,
        objects: &[(String, Object)],
    ) -> Option<Built> {
        let (folder, source) = (&kustomization.path, &kustomization.source);
        let is_our_own = layout::app_of(folder).is_some_and(|app| {
            kustomization.name.strip_suffix("-app").is_some_and(|name| name == app)
        });
        if !is_this_repository(source, objects) {
            return None;
        }
        if is_our_own && !defines(objects, source) {
            self.warn(
                path,
                format!(
                    "the {} {}/{} is not defined in this tree",
                    source.kind, source.namespace, source.name
                ),
            );
        }
        if !self.has_folder(path, folder) {
            return None;
        }
        if is_our_own && !kustomization.wait && kustomization.health_checks.is_empty() {
            self.warn(path, "without wait Flux calls this ready while pods crash");
        }
        // Values that only the cluster has are none that our own kind asks for.
        let find = |_: &_| Ok(None);
        let mut partly = kustomization.clone();
        partly.post_build.is_partial = !partly.post_build.substitute_from.is_empty();
        match reconcile::build(&partly, self.tree, &find) {
            Ok(built) if is_our_own => {
                self.built(path, kustomization, &built);
                let (path, name) = (path.to_owned(), kustomization.name.clone());
                Some(Built { path, name, objects: built })
            }
            Ok(_) => None,
            Err(error) if !is_our_own && is_beyond_us(&error) => None,
            Err(error) => {
                self.error(folder, chain(&error));
                None
            }
        }
    }

    /// What two applications apply, the one that leaves takes away from the other.
    fn twice(&mut self, built: &[Built]) {
        let mut owners: BTreeMap<(&str, String), &Built> = BTreeMap::new();
        for one in built {
            // Each environment has a cluster of its own.
            let cluster = one.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for object in &one.objects {
                let id = (cluster, object.id().inventory_id());
                let Some(first) = owners.insert(id, one).filter(|first| first.name != one.name)
                else {
                    continue;
                };
                self.warn(
                    &one.path,
                    format!(
                        "{} is also applied by the Kustomization {}: when one of them leaves Git, Flux deletes it for both",
                        object.id(),
                        first.name
                    ),
                );
            }
        }
    }

    fn built(&mut self, path: &str, kustomization: &Kustomization, objects: &[Object]) {
        for object in objects {
            match object.kind() {
                "Service" => self.service(&kustomization.path, object, objects),
                "Deployment" => {
                    self.deployment(&kustomization.path, object);
                    let deadline = object
                        .at("/spec/progressDeadlineSeconds")
                        .and_then(Value::as_u64)
                        .unwrap_or(600);
                    if kustomization.wait && kustomization.timeout.as_secs() <= deadline {
                        self.warn(path, format!("the timeout ends before {} may say why its rollout stopped (progressDeadlineSeconds: {deadline})", object.id()));
                    }
                }
                _ => {}
            }
        }
    }

    fn deployment(&mut self, path: &str, object: &Object) {
        let id = object.id();
        let labels = object.at("/spec/template/metadata/labels");
        if !selects(object.at("/spec/selector/matchLabels"), labels) {
            self.error(path, format!("the selector of {id} does not select its own pods"));
        }
        for container in containers(object) {
            let name = container["name"].as_str().unwrap_or_default();
            match container["image"].as_str().map(str::parse::<ImageRef>) {
                Some(Ok(image)) if !image.is_pinned() => self.warn(
                    path,
                    format!("the image {image} of {id} has no digest: what runs can change without a commit"),
                ),
                Some(Ok(_)) => {}
                Some(Err(error)) => self.error(path, format!("container {name} of {id}: {error}")),
                None => self.error(path, format!("container {name} of {id} has no image")),
            }
            if container.get("readinessProbe").is_none() {
                self.warn(
                    path,
                    format!(
                        "container {name} of {id} has no readinessProbe: a rollout succeeds before the model is loaded"
                    ),
                );
            }
        }
    }

    fn service(&mut self, path: &str, object: &Object, objects: &[Object]) {
        let id = object.id();
        let Some(selector) = object.at("/spec/selector") else { return };
        let is_workload = |kind: &str| {
            ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"].contains(&kind)
        };
        let same = |other: &&Object| {
            is_workload(other.kind())
                && other.namespace() == object.namespace()
                && selects(Some(selector), other.at("/spec/template/metadata/labels"))
        };
        let selected: Vec<&Object> = objects.iter().filter(same).collect();
        if selected.is_empty() {
            self.error(path, format!("{id} selects no pods of this folder"));
        }
        for port in object.at("/spec/ports").and_then(Value::as_array).into_iter().flatten() {
            let target = port.get("targetPort").unwrap_or(&port["port"]);
            for deployment in &selected {
                // A number may be any port that the container opens; a name has to be declared.
                if target.is_string() && !has_port(deployment, target) {
                    self.error(
                        path,
                        format!(
                            "{id} sends to the port {target}, which {} does not have",
                            deployment.id()
                        ),
                    );
                }
            }
        }
    }
}

/// The names of what Flux itself follows this repository by.
const OURS: (&str, &str, &str) = ("GitRepository", "flux-system", "flux-system");

/// Whether an object is the source by which Flux follows this repository, or another one with its
/// address.
fn is_ours(object: &Object, objects: &[(String, Object)]) -> bool {
    let is_first = |object: &Object| (object.kind(), object.namespace(), object.name()) == OURS;
    is_first(object)
        || objects.iter().any(|(_, first)| {
            is_first(first)
                && first.at("/spec/url").is_some_and(|url| Some(url) == object.at("/spec/url"))
        })
}

/// Whether a Kustomization takes its files from this repository.
fn is_this_repository(source: &SourceRef, objects: &[(String, Object)]) -> bool {
    let named = (source.kind.as_str(), source.namespace.as_str(), source.name.as_str());
    named == OURS
        || objects.iter().any(|(_, object)| {
            (object.kind(), object.namespace(), object.name()) == named && is_ours(object, objects)
        })
}

fn defines(objects: &[(String, Object)], source: &SourceRef) -> bool {
    objects.iter().any(|(_, object)| {
        object.kind() == source.kind
            && object.name() == source.name
            && object.namespace() == source.namespace
    })
}

/// Whether a build failed for what this crate does not do, where others do.
fn is_beyond_us(error: &Error) -> bool {
    match error {
        Error::Unsupported { .. } | Error::FluxField { .. } => true,
        Error::File { source, .. } | Error::Build { source, .. } | Error::Patch { source, .. } => {
            is_beyond_us(source)
        }
        _ => false,
    }
}

fn containers(object: &Object) -> Vec<&Value> {
    object
        .at("/spec/template/spec/containers")
        .and_then(Value::as_array)
        .map(|containers| containers.iter().collect())
        .unwrap_or_default()
}

fn has_port(deployment: &Object, target: &Value) -> bool {
    containers(deployment)
        .iter()
        .flat_map(|container| container["ports"].as_array().into_iter().flatten())
        .any(|port| port["name"] == *target)
}

/// Whether every label of a selector is among the labels; a selector that is empty selects nothing
/// here.
fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let (Some(Value::Object(selector)), Some(Value::Object(labels))) = (selector, labels) else {
        return false;
    };
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
