//! Lists of tags (distribution-spec, "Listing Tags").

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use super::listing::Listing;
use super::{Code, Failure, Registry, blocking};

/// Lists the tags of a repository, sorted by their bytes, from the one after `last`, at most `n`
/// (end-8a, end-8b).
pub(super) async fn list(
    registry: Arc<Registry>,
    name: String,
    request: Request,
) -> Result<Response, Failure> {
    let mut tags = Listing::asked(&request)?;
    blocking(move || {
        let repository = registry.repository(&name)?;
        let mut is_known = repository.is_begun();
        repository.each_tag(|tag, _| {
            is_known = true;
            tags.add(tag.to_owned(), ());
        })?;
        if !is_known {
            return Err(Failure::new(Code::NameUnknown, format!("there is no repository {name}")));
        }
        Ok(tags.answer(json!({ "name": name }), "tags", &format!("/v2/{name}/tags/list")))
    })
    .await
}
