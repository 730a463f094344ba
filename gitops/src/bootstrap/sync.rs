//! The objects by which Flux watches a repository: `gotk-sync.yaml`, new or as it is there.

use super::{Bootstrap, INSTANCE, SYNC, instance};
use crate::edit::{Edits, descend};
use crate::flux::format_duration;
use crate::yaml::{Node, documents, scalar};
use crate::{Error, Name, Result, Tree, tree};

/// What is watched, as a repository says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The repository.
    pub url: String,
    /// The branch; none where a tag or commit is watched.
    pub branch: Option<String>,
}

/// Reads what a repository says is watched for an environment; none where it says nothing.
pub fn sync(there: &Tree, env: &Name) -> Result<Option<Sync>> {
    let path = format!("clusters/{env}/flux-system/{SYNC}");
    let Some(text) = there.get(&path) else {
        let path = format!("clusters/{env}/flux-system/{INSTANCE}");
        let read = there.get(&path).map(instance::read).transpose();
        return read.map_err(|error| error.in_file(&path));
    };
    let read = || {
        let documents = documents(text)?;
        let (source, _) = objects(&documents)?;
        let text = |path: &[&str]| descend(source, path).and_then(Node::text).map(str::to_owned);
        let url = text(&["spec", "url"]).unwrap_or_default();
        Ok(Sync { url, branch: text(&["spec", "ref", "branch"]) })
    };
    read().map(Some).map_err(|error: Error| error.in_file(&path))
}

pub(super) fn new(asked: &Bootstrap) -> String {
    let (url, branch) = (scalar(asked.url.as_str()), scalar(asked.branch.as_str()));
    let path = asked.path();
    let (interval, sync_interval) =
        (format_duration(asked.interval), format_duration(asked.sync_interval));
    let secret = asked.secret_ref.as_ref().map_or(String::new(), |secret| {
        format!("  secretRef:\n    name: {}\n", scalar(secret.as_str()))
    });
    format!(
        "# What Flux watches: the branch below, and in it the folder {path}.
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: {interval}
  ref:
    branch: {branch}
{secret}  url: {url}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: {sync_interval}
  path: ./{path}
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
"
    )
}

/// What is there, with the URL, the branch and the Secret that are asked for; every other byte
/// stays.
pub(super) fn kept(text: &str, asked: &Bootstrap) -> Result<String> {
    let documents = documents(text)?;
    let (source, sync) = objects(&documents)?;
    let refuse = |message: String| Error::Kept { place: "flux-system".to_owned(), message };
    let path = descend(sync, &["spec", "path"]).and_then(Node::text).unwrap_or_default();
    if tree::confine(path) != asked.path() {
        return Err(refuse(format!("it watches {path}, not ./{}", asked.path())));
    }
    let mut edits = Edits::new(text);
    match descend(source, &["spec", "url"]) {
        Some(url) => edits.set(url, asked.url.as_str(), "url")?,
        None => return Err(refuse("the GitRepository has no url".to_owned())),
    }
    match descend(source, &["spec", "ref", "branch"]) {
        Some(branch) => edits.set(branch, asked.branch.as_str(), "branch")?,
        None => return Err(refuse("the GitRepository follows no branch".to_owned())),
    }
    if let Some(secret) = &asked.secret_ref {
        match descend(source, &["spec", "secretRef", "name"]) {
            Some(name) => edits.set(name, secret.as_str(), "secretRef")?,
            None => {
                let name = format!("  name: {}", scalar(secret.as_str()));
                let place = key(source, &["spec", "url"]).expect("its value was found above");
                edits.insert_before(place, &["secretRef:", &name], "secretRef")?;
            }
        }
    }
    Ok(edits.apply())
}

/// The key of the last step of a path.
fn key<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    let (last, before) = path.split_last()?;
    descend(node, before)?.key(last)
}

/// The source and the Kustomization that Flux itself goes by.
fn objects(documents: &[Node]) -> Result<(&Node, &Node)> {
    let named = |kind: &str| {
        documents.iter().find(|document| {
            document.entry("kind").and_then(Node::text) == Some(kind)
                && descend(document, &["metadata", "name"]).and_then(Node::text)
                    == Some("flux-system")
        })
    };
    named("GitRepository").zip(named("Kustomization")).ok_or_else(|| Error::Kept {
        place: SYNC.to_owned(),
        message: "it has no GitRepository and Kustomization that are named flux-system".to_owned(),
    })
}
