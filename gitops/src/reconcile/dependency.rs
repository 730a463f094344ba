//! `dependsOn`: whether a Kustomization has to wait for others.

use super::{Condition, Status};
use crate::flux::Kustomization;

/// How a Kustomization is that others depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// There is none of that name.
    Absent,
    /// It is not ready, or its controller has not seen its present spec.
    NotReady,
    /// It is ready, but at another revision of the source that both have.
    Outdated,
    /// It is ready.
    Ready,
}

/// Tells whether a Kustomization has to wait for others (`dependsOn`); `find` says how each is, by
/// namespace and name. None when it can go on.
pub fn waits_for(
    kustomization: &Kustomization,
    find: &dyn Fn(&str, &str) -> Dependency,
) -> Option<Condition> {
    let why = kustomization.depends_on.iter().find_map(|(namespace, name)| {
        let dependency = format!("dependency '{namespace}/{name}'");
        match find(namespace, name) {
            Dependency::Ready => None,
            Dependency::Absent => Some(format!(
                "{dependency} not found: kustomizations.kustomize.toolkit.fluxcd.io \"{name}\" not found"
            )),
            Dependency::NotReady => Some(format!("{dependency} is not ready")),
            Dependency::Outdated => Some(format!("{dependency} revision is not up to date")),
        }
    })?;
    Some(Condition { status: Status::False, reason: "DependencyNotReady", message: why })
}
