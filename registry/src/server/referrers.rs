//! Lists of referrers (distribution-spec, "Listing Referrers").

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::tags::page;
use super::{Failure, Registry, blocking, query_first};
use crate::content::{self, Descriptor, Digest, MediaType};

/// The most descriptors in one answer: far below the 4 MiB that a client must be able to take.
const PAGE: usize = 1000;

/// Lists the manifests of a repository that have this subject, which need not be here itself
/// (end-12a, end-12b).
pub(super) async fn list(
    registry: Arc<Registry>,
    name: String,
    subject: Digest,
    request: Request,
) -> Result<Response, Failure> {
    let artifact_type = query_first(&request, "artifactType");
    let last = query_first(&request, "last");
    blocking(move || {
        let mut referrers = registry.repository(&name)?.referrers(&subject)?;
        if let Some(wanted) = &artifact_type {
            referrers.retain(|it| {
                it.artifact_type().as_ref().is_some_and(|found| found.as_ref() == wanted)
            });
        }
        let page = page(referrers.into_iter().map(ByDigest), last.as_deref(), PAGE);
        let manifests: Vec<_> = page.items.iter().map(|it| &it.0).collect();
        let body = content::encode(&json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": manifests,
        }));
        let mut response =
            (StatusCode::OK, [("content-type", MediaType::ImageIndex.as_ref())], body)
                .into_response();
        let headers = response.headers_mut();
        if artifact_type.is_some() {
            headers.insert(
                "oci-filters-applied",
                "artifactType".parse().expect("a header of letters"),
            );
        }
        if let Some(last) = page.items.last().filter(|_| page.has_more) {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(artifact_type.map(|wanted| ("artifactType", wanted)));
            query.append_pair("last", last.as_ref());
            let link = format!("</v2/{name}/referrers/{subject}?{}>; rel=\"next\"", query.finish());
            headers.insert("link", link.parse().expect("a URL is printable ASCII"));
        }
        Ok(response)
    })
    .await
}

/// A descriptor in a list that is sorted by digest.
struct ByDigest(Descriptor);

impl AsRef<str> for ByDigest {
    fn as_ref(&self) -> &str {
        self.0.digest().as_ref()
    }
}
