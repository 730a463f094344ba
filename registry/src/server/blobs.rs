//! Blobs: sent whole or in part, and taken away.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fs_err as fs;
use futures_util::TryStreamExt as _;

use super::range::{ByteRange, parse_range};
use super::{Code, Failure, Registry, blocking, changing, header};
use crate::content::Digest;
use crate::file_stream;

/// Sends a blob or a part of it (end-2; "Pulling blobs").
pub(super) async fn send(
    registry: Arc<Registry>,
    name: String,
    digest: Digest,
    request: Request,
) -> Result<Response, Failure> {
    let (file, size) = {
        let (registry, digest) = (registry.clone(), digest.clone());
        let is_head = *request.method() == Method::HEAD;
        blocking(move || open(&registry, &name, &digest, is_head)).await?
    };
    let etag = format!("\"{digest}\"");
    let range = header(&request, "range")
        .filter(|_| header(&request, "if-range").is_none_or(|it| it == etag));
    let (status, start, end) = match parse_range(range, size) {
        ByteRange::Whole => (StatusCode::OK, 0, size),
        ByteRange::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        ByteRange::Unsatisfiable => {
            let failure = Failure::new(Code::RangeInvalid, format!("the blob has {size} bytes"));
            return Err(failure.with_header("content-range", format!("bytes */{size}")));
        }
    };
    let body = match *request.method() == Method::HEAD {
        true => Body::empty(),
        false => {
            let metrics = registry.metrics.clone();
            let count = move |piece: &Bytes| {
                metrics.downloaded_bytes.inc_by(piece.len() as u64);
            };
            Body::from_stream(file_stream::stream(file, start..end).inspect_ok(count))
        }
    };
    let headers = [
        ("accept-ranges", "bytes".to_owned()),
        ("content-length", (end - start).to_string()),
        ("content-type", "application/octet-stream".to_owned()),
        ("docker-content-digest", digest.to_string()),
        ("etag", etag),
    ];
    let content_range = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
    let part = (status == StatusCode::PARTIAL_CONTENT)
        .then_some([(HeaderName::from_static("content-range"), content_range)]);
    Ok((status, headers, part.map(axum::response::AppendHeaders), body).into_response())
}

fn open(
    registry: &Registry,
    name: &str,
    digest: &Digest,
    is_head: bool,
) -> Result<(fs::File, u64), Failure> {
    let repository = registry.repository(name)?;
    // Who only asks whether it is there will not push it again.
    if !(if is_head { repository.has_blob_for_now(digest) } else { repository.has_blob(digest) }) {
        return Err(unknown(digest));
    }
    let file = fs::File::open(registry.layout.blob_path(digest)?)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Takes a blob away from a repository (end-10). Its bytes go with the next garbage collection,
/// unless others need them.
pub(super) async fn delete(
    registry: Arc<Registry>,
    name: String,
    digest: Digest,
) -> Result<Response, Failure> {
    changing(registry, move |registry| match registry.repository(&name)?.unlink_blob(&digest)? {
        true => Ok(StatusCode::ACCEPTED.into_response()),
        false => Err(unknown(&digest)),
    })
    .await
}

fn unknown(digest: &Digest) -> Failure {
    Failure::new(Code::BlobUnknown, format!("this repository has no blob {digest}"))
}
