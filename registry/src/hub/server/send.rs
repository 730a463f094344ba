//! Sends a file, whole or in part.

use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use super::Refusal;
use super::folder::{Commit, File, Folder};
use super::route::Repo;
use crate::server::range::{ByteRange, parse_range};
use crate::{content, file_stream};

/// How much of a description is made at a time, in bytes.
const PIECE: usize = 32 * 1024;

/// Sends a file of a repository. Only what is listed is looked for on the disk.
pub(super) async fn file(
    folder: &Folder,
    repo: &Repo,
    commit: &Commit,
    path: &str,
    request: Request,
) -> Result<Response, Refusal> {
    let unknown =
        || Refusal::Unknown("EntryNotFound", format!("{path} does not exist on \"main\""));
    let file = commit.files.get(path).ok_or_else(unknown)?;
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
    let (status, start, end) = match parse_range(range, file.size) {
        ByteRange::Whole => (StatusCode::OK, 0, file.size),
        ByteRange::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        ByteRange::Unsatisfiable => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{}", file.size))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, content_range).into_response());
        }
    };
    let mut headers = headers(commit, file, end - start);
    if status == StatusCode::PARTIAL_CONTENT {
        insert(
            &mut headers,
            header::CONTENT_RANGE,
            &format!("bytes {start}-{}/{}", end - 1, file.size),
        );
    }
    let body = match *request.method() == Method::HEAD {
        true => Body::empty(),
        false => {
            let dir = folder.dir(repo).ok_or_else(unknown)?;
            let opened = fs_err::File::open(dir.join(path)).map_err(crate::Error::from)?;
            Body::from_stream(file_stream::stream(opened, start..end))
        }
    };
    Ok((status, headers, body).into_response())
}

/// Sends a description with all files of a repository, piece by piece: those who do not read share
/// the one list that there is.
pub(super) fn info(description: &Value, commit: Arc<Commit>, has_blobs: bool) -> Response {
    let mut before = content::encode(description);
    before.pop();
    before.extend_from_slice(b",\"siblings\":[");
    let pieces = stream::unfold(Some((before, None::<String>)), move |state| {
        let commit = commit.clone();
        async move {
            let (mut piece, mut last) = state?;
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut files = commit.files.range::<str, _>((from, Bound::Unbounded));
            let mut path = None;
            while piece.len() < PIECE {
                let Some((next, file)) = files.next() else {
                    piece.extend_from_slice(b"]}");
                    return Some((Ok::<_, Infallible>(piece), None));
                };
                if path.is_some() || last.is_some() {
                    piece.push(b',');
                }
                piece.extend_from_slice(&content::encode(&file.sibling(next, has_blobs)));
                path = Some(next);
            }
            last = path.cloned().or(last);
            Some((Ok(piece), Some((Vec::new(), last))))
        }
    });
    ([("content-type", "application/json")], Body::from_stream(pieces)).into_response()
}

/// The headers by which the official client names and checks what it gets.
fn headers(commit: &Commit, file: &File, length: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let etag = if file.is_large { &file.sha256 } else { file.oid() };
    insert(&mut headers, header::ETAG, &format!("\"{etag}\""));
    insert(&mut headers, header::CONTENT_LENGTH, &length.to_string());
    insert(&mut headers, header::CONTENT_TYPE, "application/octet-stream");
    insert(&mut headers, header::ACCEPT_RANGES, "bytes");
    insert(&mut headers, HeaderName::from_static("x-repo-commit"), &commit.sha);
    if file.is_large {
        insert(
            &mut headers,
            HeaderName::from_static("x-linked-etag"),
            &format!("\"{}\"", file.sha256),
        );
        insert(&mut headers, HeaderName::from_static("x-linked-size"), &file.size.to_string());
    }
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("hex, numbers and words are header values");
    headers.insert(name, value);
}
