//! The list of repositories. The specification reserves its path; what it answers is what
//! distribution, and the clients that ask for it, agree on.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use super::listing::Listing;
use super::repository::repositories;
use super::{Failure, Registry, blocking};

/// Lists the repositories that have a manifest, sorted by their bytes, from the one after `last`,
/// at most `n`.
pub(super) async fn list(registry: Arc<Registry>, request: Request) -> Result<Response, Failure> {
    let mut names = Listing::asked(&request)?;
    blocking(move || {
        look(&registry, &mut names)?;
        Ok(names.answer(json!({}), "repositories", "/v2/_catalog"))
    })
    .await
}

/// Looks at every repository that has a manifest.
pub(super) fn look(registry: &Registry, names: &mut Listing<()>) -> Result<(), Failure> {
    for repository in repositories(&registry.layout)? {
        if names.wants(repository.name()) && repository.has_manifests()? {
            names.add(repository.name().to_owned(), ());
        }
    }
    // What another tool tagged has no folder before somebody asks for it.
    registry.layout.each_entry(|reference, _| {
        if let Some(reference) = reference.filter(|it| it.is_local() && it.tag().is_some()) {
            names.add(reference.repository().to_owned(), ());
        }
    })?;
    Ok(())
}
