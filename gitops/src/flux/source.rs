//! Flux' GitRepository: which branch of which repository is fetched.

use std::time::Duration;

use serde::Deserialize;

use super::kustomization::spec;
use super::parse_duration;
use crate::{Object, Result};

/// A `GitRepository` of `source.toolkit.fluxcd.io/v1`: where Flux fetches from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRepository {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The remote repository.
    pub url: String,
    /// The branch that is followed; none where a tag or commit is named.
    pub branch: Option<String>,
    /// How often Flux looks for commits.
    pub interval: Duration,
    /// Whether Flux was told not to look.
    pub suspend: bool,
}

impl GitRepository {
    /// Reads the object as a GitRepository, if it is one.
    pub fn read(object: &Object) -> Result<Option<Self>> {
        let id = object.id();
        if (id.group.as_str(), id.kind.as_str()) != ("source.toolkit.fluxcd.io", "GitRepository") {
            return Ok(None);
        }
        let spec: Spec = spec(object)?;
        Ok(Some(Self {
            name: id.name,
            namespace: id.namespace,
            url: spec.url,
            branch: spec.r#ref.branch,
            interval: parse_duration(&spec.interval)?,
            suspend: spec.suspend,
        }))
    }
}

/// What is read of the spec; fields that only the real source-controller heeds are left to the
/// schema.
#[derive(Deserialize)]
struct Spec {
    url: String,
    interval: String,
    #[serde(default)]
    r#ref: Ref,
    #[serde(default)]
    suspend: bool,
}

#[derive(Default, Deserialize)]
struct Ref {
    branch: Option<String>,
}
