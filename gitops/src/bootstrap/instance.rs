//! The other form of what Flux follows: a FluxInstance, of which the Flux Operator makes Flux itself,
//! the source and the Kustomization.

use serde_json::{Value, json};

use super::sync::Sync;
use super::{Bootstrap, INSTANCE};
use crate::edit::{Edits, descend};
use crate::flux::format_duration;
use crate::yaml::{Node, documents, scalar};
use crate::{Error, Object, Result, tree};

const KIND: &str = "FluxInstance";

/// What Flux has where nothing else is asked for.
const CONTROLLERS: [&str; 4] =
    ["source-controller", "kustomize-controller", "helm-controller", "notification-controller"];

pub(super) fn new(asked: &Bootstrap) -> String {
    let (url, branch) = (scalar(asked.url.as_str()), scalar(&reference(asked)));
    let (path, interval) = (asked.path(), format_duration(asked.interval));
    let version = scalar(&format!("{}.x", asked.flux.unwrap_or_default()));
    let controllers: String = CONTROLLERS
        .into_iter()
        .chain(asked.extra.iter().map(String::as_str))
        .map(|controller| format!("    - {controller}\n"))
        .collect();
    let secret = asked
        .secret_ref
        .as_ref()
        .map_or(String::new(), |secret| format!("    pullSecret: {}\n", scalar(secret.as_str())));
    format!(
        "# Flux itself, and what it watches: the branch below, and in it the folder {path}.
# The Flux Operator makes both of it.
apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata:
  name: flux
  namespace: flux-system
spec:
  distribution:
    version: {version}
    registry: ghcr.io/fluxcd
    # Where the operator learns of fixes.
    artifact: oci://ghcr.io/controlplaneio-fluxcd/flux-operator-manifests:latest
  components:
{controllers}  cluster:
    type: kubernetes
    networkPolicy: true
  sync:
    kind: GitRepository
    url: {url}
    ref: {branch}
    path: {path}
    interval: {interval}
{secret}"
    )
}

/// What is there, with what is asked for; every other byte stays.
pub(super) fn kept(text: &str, asked: &Bootstrap) -> Result<String> {
    let documents = documents(text)?;
    let instance = find(&documents)?;
    let refuse = |message: String| Error::Kept { place: KIND.to_owned(), message };
    let at = |path: &[&str]| descend(instance, path);
    let kind = at(&["spec", "sync", "kind"]).and_then(Node::text).unwrap_or_default();
    if kind != "GitRepository" {
        let other = if kind.is_empty() { "nothing" } else { kind };
        return Err(refuse(format!("it follows {other}, and no GitRepository")));
    }
    let path = at(&["spec", "sync", "path"]).and_then(Node::text).unwrap_or_default();
    if tree::confine(path) != asked.path() {
        return Err(refuse(format!("it watches {path}, not {}", asked.path())));
    }
    let mut edits = Edits::new(text);
    let reference = reference(asked);
    for (field, value) in [("url", asked.url.as_str()), ("ref", &*reference)] {
        match at(&["spec", "sync", field]) {
            Some(node) => edits.set(node, value, field)?,
            None => return Err(refuse(format!("its sync has no {field}"))),
        }
    }
    if let Some(secret) = &asked.secret_ref {
        match at(&["spec", "sync", "pullSecret"]) {
            Some(node) => edits.set(node, secret.as_str(), "pullSecret")?,
            None => {
                let line = format!("pullSecret: {}", scalar(secret.as_str()));
                let sync = at(&["spec", "sync"]).and_then(|sync| sync.key("url"));
                let place = sync.expect("its value was set above");
                edits.insert_before(place, &[&line], "pullSecret")?;
            }
        }
    }
    if let Some(version) = asked.flux {
        match at(&["spec", "distribution", "version"]) {
            Some(node) => edits.set(node, &format!("{version}.x"), "version")?,
            None => return Err(refuse("its distribution has no version".to_owned())),
        }
    }
    let listed = at(&["spec", "components"]);
    let has = |name: &str| {
        listed.is_some_and(|it| it.elements().iter().any(|node| node.text() == Some(name)))
    };
    let missing: Vec<&str> =
        asked.extra.iter().map(String::as_str).filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        let first = listed.and_then(|it| it.elements().first());
        let first = first.ok_or_else(|| refuse("it has no list of components".to_owned()))?;
        edits.insert_before(first, &missing, "components")?;
    }
    Ok(edits.apply())
}

/// What is watched, as it says.
pub(super) fn read(text: &str) -> Result<Sync> {
    let documents = documents(text)?;
    let instance = find(&documents)?;
    let text =
        |field| descend(instance, &["spec", "sync", field]).and_then(Node::text).map(str::to_owned);
    let branch = text("ref").and_then(|it| it.strip_prefix(BRANCH).map(str::to_owned));
    Ok(Sync { url: text("url").unwrap_or_default(), branch })
}

fn find(documents: &[Node]) -> Result<&Node> {
    let is_it = |it: &&Node| it.entry("kind").and_then(Node::text) == Some(KIND);
    documents.iter().find(is_it).ok_or_else(|| Error::Kept {
        place: INSTANCE.to_owned(),
        message: format!("it has no {KIND}"),
    })
}

/// What the names of branches begin with in Git.
const BRANCH: &str = "refs/heads/";

fn reference(asked: &Bootstrap) -> String {
    format!("{BRANCH}{}", asked.branch)
}

/// The source and the Kustomization that the operator makes of a FluxInstance, where it follows a
/// Git repository.
pub(crate) fn stands_for(object: &Object) -> Option<[Object; 2]> {
    let text = |field: &str| object.at(&format!("/spec/sync/{field}")).and_then(Value::as_str);
    if object.kind() != KIND || text("kind") != Some("GitRepository") {
        return None;
    }
    let (url, path, named) = (text("url")?, text("path")?, text("ref")?);
    let reference = match named.strip_prefix(BRANCH) {
        Some(branch) => json!({ "branch": branch }),
        None => json!({ "name": named }),
    };
    let name = text("name").unwrap_or_else(|| object.namespace());
    let metadata = json!({ "name": name, "namespace": object.namespace() });
    let interval = text("interval").unwrap_or("1m");
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata,
        "spec": { "interval": interval, "url": url, "ref": reference },
    });
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": metadata,
        "spec": {
            "interval": "10m", "path": path, "prune": true,
            "sourceRef": { "kind": "GitRepository", "name": name },
        },
    });
    Some([source, kustomization].map(|it| Object::from_value(it).expect("it has all it needs")))
}

#[cfg(test)]
mod tests {
    use super::super::{Form, bootstrap, sync};
    use super::*;
    use crate::{Tree, flux};

    const PLACE: &str = "clusters/dev/flux-system/flux-instance.yaml";

    fn asked() -> Bootstrap {
        let mut asked = Bootstrap::new("https://host/org/ml-infra".parse().unwrap());
        asked.form = Form::FluxInstance;
        asked
    }

    fn again(asked: &Bootstrap, there: &Tree) -> Tree {
        let mut tree = there.clone();
        tree.merge(bootstrap(asked, there).unwrap());
        tree
    }

    #[test]
    fn an_instance_stands_for_what_the_other_form_writes() {
        let tree = again(&asked(), &Tree::new());
        assert_eq!(tree.paths().collect::<Vec<_>>(), [PLACE]);
        let object: Object = tree.get(PLACE).unwrap().parse().unwrap();
        let [source, kustomization] = stands_for(&object).unwrap();
        let source = flux::GitRepository::read(&source).unwrap().unwrap();
        assert_eq!((source.name.as_str(), source.branch.as_deref()), ("flux-system", Some("main")));
        let kustomization = flux::Kustomization::read(&kustomization).unwrap().unwrap();
        assert_eq!(kustomization.path, "clusters/dev");
        let read = sync(&tree, &"dev".parse().unwrap()).unwrap().unwrap();
        assert_eq!(read.branch.as_deref(), Some("main"));
    }

    #[test]
    fn a_second_time_changes_only_what_is_asked_for() {
        let tree = again(&asked(), &Tree::new());
        let theirs =
            tree.get(PLACE).unwrap().replace("registry: ghcr.io/fluxcd", "registry: host/f # ours");
        let mut tree = tree;
        tree.insert(PLACE, theirs.clone()).unwrap();
        assert_eq!(again(&asked(), &tree), tree);
        let mut other = asked();
        other.branch = "prod".parse().unwrap();
        other.flux = Some("2.9".parse().unwrap());
        other.secret_ref = Some("token".parse().unwrap());
        other.extra = vec!["image-reflector-controller".to_owned()];
        let expected = theirs
            .replace("refs/heads/main", "refs/heads/prod")
            .replace("2.10.x", "2.9.x")
            .replace("    url:", "    pullSecret: token\n    url:")
            .replace("    - source-", "    - image-reflector-controller\n    - source-");
        let changed = again(&other, &tree);
        assert_eq!(changed.get(PLACE).unwrap(), expected);
        assert_eq!(again(&other, &changed), changed);
    }

    #[test]
    fn the_two_forms_do_not_stand_beside_each_other() {
        let said =
            |asked: &Bootstrap, there: &Tree| bootstrap(asked, there).unwrap_err().to_string();
        let mut gotk = asked();
        gotk.form = Form::Gotk;
        assert!(said(&gotk, &again(&asked(), &Tree::new())).contains("flux-instance.yaml"));
        assert!(said(&asked(), &again(&gotk, &Tree::new())).contains("gotk-sync.yaml"));
        let mut with = asked();
        with.components = Some("# theirs\n".to_owned());
        assert!(said(&with, &Tree::new()).contains("the operator"));
    }
}
