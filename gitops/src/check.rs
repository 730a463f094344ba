//! What would go wrong with a repository when Flux applied it.

use serde_json::Value;

use crate::error::chain;
use crate::flux::{GitRepository, Kustomization};
use crate::{ImageRef, Object, Problem, Problems, Result, Severity, Tree, reconcile};

/// Finds what would not work once this tree is pushed, so that it is not: all problems at once,
/// warnings among them.
///
/// Checked are the Flux objects below `clusters/` (the path of each Kustomization is in the tree,
/// its source is defined, its branch is the one that is pushed to, where `branch` names it) and
/// what they build (selectors select, ports are there, images are pinned, Flux waits longer than a
/// rollout may take).
pub fn check(tree: &Tree, branch: Option<&str>) -> Result<Vec<Problem>, Problems> {
    let mut check = Check { tree, problems: Vec::new() };
    let objects = check.cluster_objects();
    check.branches(&objects, branch);
    for (path, object) in &objects {
        match Kustomization::read(object) {
            Ok(Some(kustomization)) => check.kustomization(path, &kustomization, &objects),
            Ok(None) => {}
            Err(error) => check.error(path, chain(&error)),
        }
    }
    let problems = check.problems;
    match problems.iter().any(|problem| problem.severity == Severity::Error) {
        true => Err(Problems(problems)),
        false => Ok(problems),
    }
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

    /// The objects of every YAML file below `clusters/`, with their files.
    fn cluster_objects(&mut self) -> Vec<(String, Object)> {
        let mut objects = Vec::new();
        let files = self.tree.iter().filter(|(path, _)| {
            path.starts_with("clusters/")
                && (path.ends_with(".yaml") || path.ends_with(".yml"))
                && !path.ends_with("/kustomization.yaml")
        });
        for (path, text) in files {
            match Object::parse_all(text) {
                Ok(parsed) => {
                    objects.extend(parsed.into_iter().map(|object| (path.to_owned(), object)))
                }
                Err(error) => self.error(path, chain(&error)),
            }
        }
        objects
    }

    fn branches(&mut self, objects: &[(String, Object)], branch: Option<&str>) {
        for (path, object) in objects {
            match GitRepository::read(object) {
                Ok(Some(source)) => {
                    let (Some(watched), Some(pushed)) = (&source.branch, branch) else { continue };
                    if watched != pushed {
                        self.error(
                            path,
                            format!("Flux watches the branch {watched} and would never see what is pushed to {pushed}"),
                        );
                    }
                }
                Ok(None) => {}
                Err(error) => self.error(path, chain(&error)),
            }
        }
    }

    fn kustomization(
        &mut self,
        path: &str,
        kustomization: &Kustomization,
        objects: &[(String, Object)],
    ) {
        let folder = &kustomization.path;
        let source = &kustomization.source;
        let defined = objects.iter().any(|(_, object)| {
            object.kind() == source.kind
                && object.name() == source.name
                && object.namespace() == source.namespace
        });
        if !defined {
            self.warn(
                path,
                format!(
                    "the {} {}/{} is not defined in this tree",
                    source.kind, source.namespace, source.name
                ),
            );
        }
        if !self.tree.has_folder(folder) {
            self.error(
                path,
                format!("kustomization path not found: ./{folder} is not in this tree"),
            );
            return;
        }
        if !kustomization.wait
            && kustomization.health_checks.is_empty()
            && kustomization.name != "flux-system"
        {
            self.warn(path, "without wait Flux calls this ready while pods crash");
        }
        match reconcile::build(kustomization, self.tree) {
            Ok(built) => self.built(path, kustomization, &built),
            Err(error) => self.error(folder, chain(&error)),
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
        let same = |other: &&Object| {
            other.kind() == "Deployment"
                && other.namespace() == object.namespace()
                && selects(Some(selector), other.at("/spec/template/metadata/labels"))
        };
        let selected: Vec<&Object> = objects.iter().filter(same).collect();
        if selected.is_empty() {
            self.error(path, format!("{id} selects no Deployment's pods"));
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
