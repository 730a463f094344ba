//! Lists of referrers (distribution-spec, "Listing Referrers").

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fs_err as fs;
use futures_util::{StreamExt as _, stream};

use super::limits::MAX_IN_MEMORY;
use super::listing::Listing;
use super::{Failure, Registry, blocking, query_first};
use crate::content::{Digest, MediaType};
use crate::file_stream;

/// What stands before and behind the descriptors of an answer: as the one encoder would write it.
const BEFORE: &str = r#"{"manifests":["#;
const BEHIND: &str =
    r#"],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#;

/// Lists the manifests of a repository that have this subject, which need not be here itself
/// (end-12a, end-12b).
///
/// A descriptor has all annotations of its manifest, as many as its owner likes. So a page ends
/// where it would be too large for memory, and a single descriptor that is too large is a page by
/// itself and comes from the disk piece by piece.
pub(super) async fn list(
    registry: Arc<Registry>,
    name: String,
    subject: Digest,
    request: Request,
) -> Result<Response, Failure> {
    let artifact_type = query_first(&request, "artifactType");
    let mut found = Listing::new(query_first(&request, "last"), usize::MAX);
    blocking(move || {
        registry.repository(&name)?.each_referrer(&subject, |referrer| {
            let wanted = artifact_type.as_deref();
            if found.wants(referrer.digest.as_ref()) && referrer.is_of(wanted)? {
                found.add(referrer.digest.to_string(), (referrer.path, referrer.size));
            }
            Ok(())
        })?;
        let (page, has_more) = found.page(|_, (_, size)| size + 1);
        let last = page.last().map(|(digest, _)| digest.clone()).filter(|_| has_more);
        let (body, length) = body(page.into_iter().map(|(_, it)| it).collect())?;
        let headers = [
            ("content-type", MediaType::ImageIndex.to_string()),
            ("content-length", length.to_string()),
        ];
        let mut response = (StatusCode::OK, headers, body).into_response();
        let headers = response.headers_mut();
        if artifact_type.is_some() {
            headers.insert(
                "oci-filters-applied",
                "artifactType".parse().expect("a header of letters"),
            );
        }
        if let Some(last) = last {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(artifact_type.map(|wanted| ("artifactType", wanted)));
            query.append_pair("last", &last);
            let link = format!("</v2/{name}/referrers/{subject}?{}>; rel=\"next\"", query.finish());
            headers.insert("link", link.parse().expect("a URL is printable ASCII"));
        }
        Ok(response)
    })
    .await
}

/// The body of a page, and its length in bytes.
fn body(page: Vec<(PathBuf, u64)>) -> Result<(Body, u64), Failure> {
    if let [(path, size)] = page.as_slice()
        && *size > MAX_IN_MEMORY
    {
        let text = |text: &'static str| stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
        let descriptor = file_stream::stream(fs::File::open(path)?, 0..*size);
        let whole = text(BEFORE).chain(descriptor).chain(text(BEHIND));
        return Ok((Body::from_stream(whole), (BEFORE.len() + BEHIND.len()) as u64 + size));
    }
    let mut bytes = BEFORE.as_bytes().to_vec();
    for (path, _) in page {
        let descriptor = match fs::read(path) {
            // It was deleted meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            descriptor => descriptor?,
        };
        if bytes.len() > BEFORE.len() {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&descriptor);
    }
    bytes.extend_from_slice(BEHIND.as_bytes());
    let length = bytes.len() as u64;
    Ok((bytes.into(), length))
}
