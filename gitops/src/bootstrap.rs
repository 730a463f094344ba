//! What `flux bootstrap` commits so that a cluster follows a repository.

use std::time::Duration;

use crate::flux::format_duration;
use crate::yaml::scalar;
use crate::{GitUrl, Name, Tree};

/// What Flux is to watch: the facts from which [`bootstrap`] makes the files that `flux bootstrap`
/// commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The repository, as the cluster reaches it.
    pub url: GitUrl,
    /// The branch that is pushed to and watched.
    pub branch: String,
    /// The environment whose folder `clusters/<env>` is watched.
    pub env: Name,
    /// How often Flux looks for commits.
    pub interval: Duration,
    /// How often Flux compares the cluster with the folder.
    pub sync_interval: Duration,
    /// The Secret with the key or token; none for a repository that anyone may read.
    pub secret_ref: Option<Name>,
    /// The text of Flux' own components (`flux install --export`), where the repository shall carry
    /// them.
    pub components: Option<String>,
}

impl Bootstrap {
    /// The branch `main`, the environment `dev`, no credentials, no components, and Flux' own
    /// intervals.
    pub fn new(url: GitUrl) -> Self {
        Self {
            url,
            branch: "main".to_owned(),
            env: "dev".parse().expect("dev is a name"),
            interval: Duration::from_secs(60),
            sync_interval: Duration::from_secs(600),
            secret_ref: None,
            components: None,
        }
    }

    /// The folder that Flux watches.
    pub fn path(&self) -> String {
        format!("clusters/{}", self.env)
    }
}

/// Renders `clusters/<env>/flux-system/`, as `flux bootstrap` commits it.
///
/// `kustomization.yaml` is there for patches: Flux never overwrites one that exists, and neither
/// should whoever writes this tree.
pub fn bootstrap(bootstrap: &Bootstrap) -> Tree {
    let folder = format!("{}/flux-system", bootstrap.path());
    let mut tree = Tree::new();
    let mut resources = String::new();
    if let Some(components) = &bootstrap.components {
        tree.put(format!("{folder}/gotk-components.yaml"), components.clone());
        resources.push_str("- gotk-components.yaml\n");
    }
    resources.push_str("- gotk-sync.yaml\n");
    tree.put(format!("{folder}/gotk-sync.yaml"), sync(bootstrap));
    tree.put(
        format!("{folder}/kustomization.yaml"),
        format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}"),
    );
    tree
}

fn sync(bootstrap: &Bootstrap) -> String {
    let (url, branch, path) =
        (scalar(bootstrap.url.as_str()), scalar(&bootstrap.branch), bootstrap.path());
    let (interval, sync_interval) =
        (format_duration(bootstrap.interval), format_duration(bootstrap.sync_interval));
    let secret = bootstrap.secret_ref.as_ref().map_or(String::new(), |secret| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, flux};

    #[test]
    fn the_source_and_the_folder_are_those_asked_for() {
        let mut asked = Bootstrap::new("ssh://git@host/org/ml-infra".parse().unwrap());
        asked.branch = "on".to_owned();
        asked.secret_ref = Some("flux-system".parse().unwrap());
        let tree = bootstrap(&asked);
        let objects =
            Object::parse_all(tree.get("clusters/dev/flux-system/gotk-sync.yaml").unwrap())
                .unwrap();
        let source = flux::GitRepository::read(&objects[0]).unwrap().unwrap();
        assert_eq!(
            (source.url.as_str(), source.branch.as_deref(), source.interval),
            ("ssh://git@host/org/ml-infra", Some("on"), Duration::from_secs(60))
        );
        assert_eq!(objects[0].at("/spec/secretRef/name").unwrap(), "flux-system");
        assert_eq!(flux::Kustomization::read(&objects[1]).unwrap().unwrap().path, "clusters/dev");
    }

    #[test]
    fn components_are_carried_when_given() {
        let mut asked = Bootstrap::new("https://host/r".parse().unwrap());
        assert_eq!(bootstrap(&asked).len(), 2);
        asked.components = Some("# theirs\n".to_owned());
        let tree = bootstrap(&asked);
        assert_eq!(tree.get("clusters/dev/flux-system/gotk-components.yaml"), Some("# theirs\n"));
        assert!(
            tree.get("clusters/dev/flux-system/kustomization.yaml")
                .unwrap()
                .contains("- gotk-components.yaml\n- gotk-sync.yaml\n")
        );
    }
}
