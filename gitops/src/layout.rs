//! Where a release's files stand in a repository, and what of it each environment has for itself.

use std::collections::BTreeSet;
use std::fmt;

use crate::{Name, Release, Tree};

/// How a repository is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `apps/<app>` has all objects, and every environment runs them as they are.
    #[default]
    Flat,
    /// `apps/<app>/base` has what all environments share, `apps/<app>/overlays/<env>` what one of
    /// them runs.
    Envs,
}

/// What keeps the pods of an application apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Two pods share a node only where there is no other.
    #[default]
    Nodes,
    /// The same, and zones have equally many; each release counts for itself.
    Zones,
}

/// What an environment may add to the base: a kustomize `Component` in `apps/<app>/components`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// A HorizontalPodAutoscaler decides how many pods there are.
    Hpa,
    /// The Prometheus operator is told where the metrics are.
    Monitoring,
    /// Each pod gets a GPU.
    Gpu,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hpa, Self::Monitoring, Self::Gpu];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hpa => "hpa",
            Self::Monitoring => "monitoring",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Release {
    /// The folder of the application.
    pub fn app_folder(&self) -> String {
        app_folder(&self.app)
    }

    /// The folder that the environment builds.
    pub fn built_folder(&self) -> String {
        match self.layout {
            Layout::Flat => self.app_folder(),
            Layout::Envs => overlay(&self.app, &self.env),
        }
    }

    /// The file of the Flux Kustomization.
    pub fn app_file(&self) -> String {
        self.cluster_file(&format!("{}-app", self.app))
    }

    /// The file of the namespace, where the environment's cluster has it for all of its apps.
    pub(crate) fn namespace_file(&self) -> String {
        match self.layout {
            Layout::Flat => format!("{}/namespace.yaml", self.app_folder()),
            Layout::Envs => self.cluster_file(&format!("{}-namespace", self.namespace)),
        }
    }

    /// A file of the folder that the environment's Flux watches.
    pub(crate) fn cluster_file(&self, name: &str) -> String {
        format!("clusters/{}/{name}.yaml", self.env)
    }
}

/// The folder of an application.
pub(crate) fn app_folder(app: &Name) -> String {
    format!("apps/{app}")
}

/// The folder of an application's environment.
pub(crate) fn overlay(app: &Name, env: &Name) -> String {
    format!("apps/{app}/overlays/{env}")
}

/// The environments of an application; none where it is laid out flat.
pub fn environments(tree: &Tree, app: &Name) -> BTreeSet<String> {
    let folder = format!("apps/{app}/overlays/");
    let below = tree.paths().filter_map(|path| path.strip_prefix(&*folder)?.split_once('/'));
    below.map(|(env, _)| env.to_owned()).collect()
}

/// The application whose folder this is, or whose environment's.
pub(crate) fn app_of(folder: &str) -> Option<&str> {
    let rest = folder.strip_prefix("apps/")?;
    match rest.split_once('/') {
        None => Some(rest),
        Some((app, rest)) => {
            rest.strip_prefix("overlays/").filter(|env| !env.contains('/')).map(|_| app)
        }
    }
}

/// Whether a file is of another environment than this one.
pub(crate) fn is_of_another(path: &str, env: &Name) -> bool {
    let of = |rest: &str| rest.split_once('/').is_some_and(|(other, _)| other != env.as_str());
    let overlay = || path.strip_prefix("apps/")?.split_once("/overlays/").map(|(_, rest)| rest);
    let policies = || path.strip_prefix("policies/")?.split_once('/').map(|(_, rest)| rest);
    ["clusters/", "argocd/"].iter().any(|it| path.strip_prefix(it).is_some_and(of))
        || overlay().is_some_and(of)
        || policies().is_some_and(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_an_app_or_of_its_environment_names_the_app() {
        for (folder, app) in [
            ("apps/a", Some("a")),
            ("apps/a/overlays/dev", Some("a")),
            ("apps/a/base", None),
            ("apps/a/overlays/dev/more", None),
            ("clusters/a", None),
        ] {
            assert_eq!(app_of(folder), app, "{folder}");
        }
    }

    #[test]
    fn files_of_other_environments_are_told_apart() {
        let env = "dev".parse().unwrap();
        for (path, is_another) in [
            ("clusters/dev/a-app.yaml", false),
            ("clusters/prod/a-app.yaml", true),
            ("apps/a/overlays/prod/release.yaml", true),
            ("apps/a/overlays/dev/release.yaml", false),
            ("apps/a/namespace.yaml", false),
            ("policies/a/prod/digests.yaml", true),
            ("policies/a/dev/digests.yaml", false),
            ("argocd/prod/a.yaml", true),
            ("argocd/dev/a.yaml", false),
            ("infrastructure/a.yaml", false),
        ] {
            assert_eq!(is_of_another(path, &env), is_another, "{path}");
        }
    }
}
