//! Flux' GitRepository: which branch of which repository is fetched.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::kustomization::spec;
use super::parse_duration;
use crate::{Error, Object, Result};

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
    /// What of the repository is left out, as `.gitignore` writes it, after what its
    /// `.sourceignore` files say.
    pub ignore: Option<String>,
}

impl GitRepository {
    /// Reads the object as a GitRepository, if it is one.
    pub fn read(object: &Object) -> Result<Option<Self>> {
        let id = object.id();
        if (id.group.as_str(), id.kind.as_str()) != ("source.toolkit.fluxcd.io", "GitRepository") {
            return Ok(None);
        }
        let spec: Spec = spec(object)?;
        if let Some(field) = spec.unsupported() {
            return Err(Error::FluxField { id: Box::new(id), field });
        }
        Ok(Some(Self {
            name: id.name,
            namespace: id.namespace,
            url: spec.url,
            branch: spec.r#ref.branch,
            interval: parse_duration(&spec.interval)?,
            suspend: spec.suspend,
            ignore: spec.ignore,
        }))
    }
}

/// What is read of the spec; fields that only the real source-controller heeds are left to the
/// schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    url: String,
    interval: String,
    #[serde(default)]
    r#ref: Ref,
    #[serde(default)]
    suspend: bool,
    ignore: Option<String>,
    include: Option<Value>,
    #[serde(default)]
    recurse_submodules: bool,
    sparse_checkout: Option<Value>,
    verify: Option<Value>,
}

impl Spec {
    /// A field that changes what is fetched, in a way that nobody here follows.
    fn unsupported(&self) -> Option<&'static str> {
        let fields = [
            (self.include.is_some(), "include"),
            (self.recurse_submodules, "recurseSubmodules"),
            (self.sparse_checkout.is_some(), "sparseCheckout"),
            (self.verify.is_some(), "verify"),
        ];
        fields.into_iter().find(|(set, _)| *set).map(|(_, field)| field)
    }
}

#[derive(Default, Deserialize)]
struct Ref {
    branch: Option<String>,
}
