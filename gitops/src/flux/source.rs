//! Flux' GitRepository: which branch of which repository is fetched.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::kustomization::{read_spec, refuse_fields};
use super::parse_duration;
use crate::{Object, Result};

/// The group of sources.
pub(super) const GROUP: &str = "source.toolkit.fluxcd.io";

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
        let read = read_spec::<Spec>(object, GROUP, "GitRepository")?;
        let Some((id, spec)) = read else { return Ok(None) };
        // They change what is fetched, in a way that nobody here follows.
        let beyond = [
            (spec.include.is_some(), "include"),
            (spec.recurse_submodules, "recurseSubmodules"),
            (spec.sparse_checkout.is_some(), "sparseCheckout"),
            (spec.verify.is_some(), "verify"),
        ];
        refuse_fields(&id, &beyond)?;
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

#[derive(Default, Deserialize)]
struct Ref {
    branch: Option<String>,
}
