//! What a cluster already follows, and whether another sync would take it away.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Bootstrap;
use crate::{Error, Object, Result, Tree, tree};

/// The objects `flux-system/flux-system` of a cluster, as its API shows them; none where there is
/// none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// The GitRepository.
    pub source: Option<Value>,
    /// The Kustomization.
    pub kustomization: Option<Value>,
}

/// Refuses what would make a cluster's Flux delete itself, or what others have given it: a sync of
/// the same name that follows something else, or the same folder without Flux' own components.
///
/// `whole` is the repository with what [`super::bootstrap`] has rendered.
pub fn conflict(asked: &Bootstrap, whole: &Tree, live: &Live) -> Result<()> {
    let Some(kustomization) = &live.kustomization else { return Ok(()) };
    let refuse = |message: String| {
        Err(Error::Kept { place: "Kustomization/flux-system/flux-system".to_owned(), message })
    };
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let path = text(kustomization, "/spec/path");
    let url = live.source.as_ref().map(|source| text(source, "/spec/url")).unwrap_or_default();
    if tree::confine(&path) != asked.path() || !is_same(&url, asked.url.as_str()) {
        return refuse(format!(
            "the cluster follows {} of {} already; a second sync of that name would delete what the first one has applied",
            if path.is_empty() { "." } else { &path },
            if url.is_empty() { "another source" } else { &url },
        ));
    }
    let here = objects_below(whole, &asked.path());
    let lost: Vec<String> = inventory(kustomization)
        .into_iter()
        .filter(|id| is_of_flux(id) && !here.contains(id))
        .collect();
    match lost.first() {
        None => Ok(()),
        Some(first) => refuse(format!(
            "the cluster has {} objects of Flux itself from this folder that are not in it here, {first} among them; Flux would delete them",
            lost.len()
        )),
    }
}

/// Whether two addresses are those of one repository. Ports tell servers apart where both are
/// reached in the same way.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (Address::of(one), Address::of(other));
    (one.host, one.path) == (other.host, other.path)
        && (one.scheme != other.scheme || one.port == other.port)
}

/// An address without its user, as far as it tells repositories apart.
struct Address<'a> {
    scheme: &'a str,
    host: String,
    port: &'a str,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let usual = match scheme {
            "http" => "80",
            "https" => "443",
            _ => "22",
        };
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if is_port(port) => (host, port),
            _ => (host, usual),
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        Self { scheme, host: host.to_ascii_lowercase(), port, path }
    }
}

/// What a Kustomization has applied: `<namespace>_<name>_<group>_<kind>`.
fn inventory(kustomization: &Value) -> BTreeSet<String> {
    let entries = kustomization.pointer("/status/inventory/entries").and_then(Value::as_array);
    let ids = entries.into_iter().flatten().filter_map(|entry| entry["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// Whether an object is a part of Flux: its namespace, its kinds, its controllers.
fn is_of_flux(id: &str) -> bool {
    let parts: Vec<&str> = id.split('_').collect();
    let [namespace, name, _, kind] = parts[..] else { return false };
    match kind {
        "Namespace" => name == "flux-system",
        "CustomResourceDefinition" => name.ends_with(".toolkit.fluxcd.io"),
        "Deployment" => namespace == "flux-system" && name.ends_with("-controller"),
        _ => false,
    }
}

/// The inventory's names of all objects in files below a folder. Whether they are listed is for
/// others to say.
fn objects_below(tree: &Tree, folder: &str) -> BTreeSet<String> {
    let below = format!("{folder}/");
    let files = tree.iter().filter(|(path, _)| path.starts_with(&below));
    let objects = files.flat_map(|(_, text)| Object::parse_all(text).unwrap_or_default());
    objects.map(|object| object.id().inventory_id()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(url: &str, path: &str, ids: &[&str]) -> Live {
        let entries: Vec<Value> = ids.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
        Live {
            source: Some(json!({"spec": {"url": url}})),
            kustomization: Some(
                json!({"spec": {"path": path}, "status": {"inventory": {"entries": entries}}}),
            ),
        }
    }

    fn said(live: &Live, whole: &Tree) -> String {
        let asked = Bootstrap::new("https://host/org/ml-infra.git".parse().unwrap());
        conflict(&asked, whole, live).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_cluster_that_follows_nothing_or_the_same_is_no_conflict() {
        let none = Tree::new();
        assert_eq!(said(&Live::default(), &none), "");
        for url in ["https://host/org/ml-infra", "ssh://git@HOST:22/org/ml-infra.git"] {
            let ids =
                ["_ml__Namespace", "flux-system_a-app_kustomize.toolkit.fluxcd.io_Kustomization"];
            assert_eq!(said(&live(url, "./clusters/dev", &ids), &none), "", "{url}");
        }
    }

    #[test]
    fn a_cluster_that_follows_another_repository_or_folder_is_left_alone() {
        for (url, path) in [
            ("https://host/org/fleet", "./clusters/dev"),
            ("https://host/org/ml-infra", "./clusters/prod"),
            ("https://host/org/ml-infra", ""),
            ("https://host:8443/org/ml-infra", "./clusters/dev"),
        ] {
            let said = said(&live(url, path, &[]), &Tree::new());
            assert!(said.contains("would delete what the first one has applied"), "{said}");
        }
        let from_a_bucket = Live { source: None, ..live("", "./clusters/dev", &[]) };
        assert!(said(&from_a_bucket, &Tree::new()).contains("another source"));
    }

    #[test]
    fn components_that_the_cluster_has_from_here_have_to_be_here() {
        let ids = [
            "_flux-system__Namespace",
            "_gitrepositories.source.toolkit.fluxcd.io_apiextensions.k8s.io_CustomResourceDefinition",
            "flux-system_source-controller_apps_Deployment",
        ];
        let live = live("https://host/org/ml-infra", "./clusters/dev", &ids);
        let said_of = |tree: &Tree| said(&live, tree);
        assert!(said_of(&Tree::new()).contains("3 objects of Flux itself"));
        let mut tree = Tree::new();
        let components = "{apiVersion: v1, kind: Namespace, metadata: {name: flux-system}}\n---\n{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gitrepositories.source.toolkit.fluxcd.io}}\n---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: source-controller, namespace: flux-system}}\n";
        tree.insert("clusters/dev/flux-system/gotk-components.yaml", components).unwrap();
        assert_eq!(said_of(&tree), "");
    }
}
