//! Which Flux a repository installs, as far as it says so itself, and what of it objects need.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::flux::FluxVersion;
use crate::{Name, Object, Tree};

/// The Flux that an environment's folder installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The file that says so.
    pub path: String,
    /// Its version; none where it is none that is known here.
    pub version: Option<FluxVersion>,
    /// Its controllers.
    pub controllers: BTreeSet<String>,
}

/// The controllers of Flux that a FluxInstance has where it names none.
const USUAL: [&str; 4] =
    ["source-controller", "kustomize-controller", "helm-controller", "notification-controller"];

/// Finds the Flux that an environment's folder installs: its components, or a FluxInstance; none
/// where somebody else installs it.
pub fn installed(tree: &Tree, env: &Name) -> Option<Installed> {
    let folder = format!("clusters/{env}/flux-system/");
    let files = tree.iter().filter(|(path, text)| {
        path.starts_with(&folder)
            && (text.contains("app.kubernetes.io/part-of: flux") || text.contains("FluxInstance"))
    });
    let mut found = files.filter_map(|(path, text)| {
        let objects = Object::parse_all(text).unwrap_or_default();
        let instance = objects.iter().find(|object| object.kind() == "FluxInstance");
        instance.map(|it| of_instance(path, it)).or_else(|| of_components(path, &objects))
    });
    found.next()
}

fn of_instance(path: &str, instance: &Object) -> Installed {
    let named = instance.at("/spec/components").and_then(Value::as_array);
    let controllers = match named {
        Some(named) => named.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => USUAL.map(str::to_owned).into(),
    };
    let version = instance.at("/spec/distribution/version").and_then(Value::as_str);
    Installed { path: path.to_owned(), version: version.and_then(minor), controllers }
}

fn of_components(path: &str, objects: &[Object]) -> Option<Installed> {
    let of_flux = objects.iter().filter(|object| {
        object.kind() == "Deployment" && object.label("app.kubernetes.io/part-of") == Some("flux")
    });
    let controllers: BTreeSet<String> = of_flux.map(|it| it.name().to_owned()).collect();
    let mut labels = objects.iter().filter_map(|it| it.label("app.kubernetes.io/version"));
    let version = labels.find_map(minor);
    (!controllers.is_empty()).then(|| Installed { path: path.to_owned(), version, controllers })
}

/// The minor version of `v2.9.5`, `2.9.x` or `2.9`.
fn minor(version: &str) -> Option<FluxVersion> {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    format!("{major}.{minor}").parse().ok()
}

impl Installed {
    /// The controllers that a tree's objects of Flux need and that are not installed.
    pub fn lacks(&self, rendered: &Tree) -> BTreeSet<&'static str> {
        let mut needed = controllers(rendered);
        needed.retain(|controller| !self.controllers.contains(*controller));
        needed
    }
}

/// The controllers of Flux that reconcile what is in a tree below `clusters/`.
pub fn controllers(tree: &Tree) -> BTreeSet<&'static str> {
    let files = tree.iter().filter(|(path, _)| path.starts_with("clusters/"));
    let objects = files.flat_map(|(_, text)| Object::parse_all(text).unwrap_or_default());
    let of = |object: Object| {
        let id = object.id();
        Some(match (id.group.strip_suffix(".toolkit.fluxcd.io")?, id.kind.as_str()) {
            ("source", _) => "source-controller",
            ("kustomize", _) => "kustomize-controller",
            ("helm", _) => "helm-controller",
            ("notification", _) => "notification-controller",
            ("image", "ImageUpdateAutomation") => "image-automation-controller",
            ("image", _) => "image-reflector-controller",
            _ => return None,
        })
    };
    objects.filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTOMATION: &str = "{apiVersion: image.toolkit.fluxcd.io/v1, kind: ImageUpdateAutomation, metadata: {name: a}}\n---\n{apiVersion: notification.toolkit.fluxcd.io/v1, kind: Alert, metadata: {name: a}}\n";

    fn of(text: &str) -> (Option<String>, Vec<&'static str>) {
        let mut tree = Tree::new();
        tree.insert("clusters/dev/flux-system/x.yaml", text).unwrap();
        let found = installed(&tree, &"dev".parse().unwrap()).unwrap();
        let mut rendered = Tree::new();
        rendered.insert("clusters/dev/a.yaml", AUTOMATION).unwrap();
        let lacks = found.lacks(&rendered).into_iter().collect();
        (found.version.map(|it| it.to_string()), lacks)
    }

    #[test]
    fn a_repository_says_which_flux_it_installs_and_what_that_lacks() {
        let components = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: notification-controller\n  labels:\n    app.kubernetes.io/part-of: flux\n    app.kubernetes.io/version: v2.9.5\n";
        assert_eq!(of(components), (Some("2.9".to_owned()), vec!["image-automation-controller"]));
        let instance = "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux}\nspec: {distribution: {version: 2.x, registry: ghcr.io/fluxcd}}\n";
        assert_eq!(of(instance), (None, vec!["image-automation-controller"]));
        let named = instance.replace("2.x", "2.10.x").replace(
            "spec: {",
            "spec: {components: [source-controller, image-automation-controller], ",
        );
        assert_eq!(of(&named), (Some("2.10".to_owned()), vec!["notification-controller"]));
        let mut none = Tree::new();
        none.insert("clusters/dev/flux-system/gotk-sync.yaml", "kind: x\n").unwrap();
        assert_eq!(installed(&none, &"dev".parse().unwrap()), None);
    }
}
