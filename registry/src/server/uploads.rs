//! The requests of an upload (distribution-spec, "Pushing blobs").

use std::sync::{Arc, PoisonError};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fs_err as fs;

use super::range::{parse_content_range, uploaded};
use super::repository::repositories;
use super::session::{self, Upload};
use super::{Code, Failure, Registry, blocking, changing, header, query_first};
use crate::content::{self, Digest, DigestAlgorithm};

/// Starts an upload: mounts a blob (end-11), takes it whole (end-4b), or opens a session (end-4a,
/// end-4c).
pub(super) async fn start(
    registry: Arc<Registry>,
    name: String,
    request: Request,
) -> Result<Response, Failure> {
    if let Some(mount) = query_first(&request, "mount") {
        let (digest, from) = (content::parse_digest(&mount)?, query_first(&request, "from"));
        let name = name.clone();
        let mount = move |registry: &Registry| try_mount(registry, &name, &digest, from.as_deref());
        if let Some(response) = changing(registry.clone(), mount).await? {
            return Ok(response);
        }
    }
    let digest =
        query_first(&request, "digest").map(|text| content::parse_digest(&text)).transpose()?;
    let algorithm = match (&digest, query_first(&request, "digest-algorithm")) {
        (Some(digest), _) => digest.algorithm().clone(),
        (None, Some(name)) => DigestAlgorithm::from(name.as_str()),
        (None, None) => DigestAlgorithm::Sha256,
    };
    let id = open(registry.clone(), name.clone()).await?;
    let upload = take(&registry, &name, &id, algorithm).await?;
    let Some(digest) = digest else {
        return Ok(progress(StatusCode::ACCEPTED, &name, &id, 0));
    };
    // The client does not learn the id: what it cannot go on with is thrown away.
    let whole = upload.append(request.into_body(), None, &registry).await;
    match whole {
        Ok(upload) => commit(registry, name, id, upload, digest).await,
        Err(failure) => {
            cancel(registry, name, id).await?;
            Err(failure)
        }
    }
}

/// Gives the repository a blob of another one. `None`: nothing to mount, so an ordinary upload
/// begins.
fn try_mount(
    registry: &Registry,
    name: &str,
    digest: &Digest,
    from: Option<&str>,
) -> Result<Option<Response>, Failure> {
    let _given = registry.tidying.read().unwrap_or_else(PoisonError::into_inner);
    let _hold = registry.layout.hold()?;
    let may_mount = match from {
        Some(from) => registry.repository(from)?.has_blob(digest),
        None if registry.options.anonymous_mount => {
            registry.layout.contains(digest)
                && repositories(&registry.layout)?.iter().any(|it| it.has_blob(digest))
        }
        None => false,
    };
    if !may_mount {
        return Ok(None);
    }
    registry.repository(name)?.link_blob(digest)?;
    registry.metrics.mounts.inc();
    Ok(Some(created(name, digest)))
}

/// Makes the file of a new upload. Old ones are not looked for here: that would grow with their
/// number ([`Registry::expire_uploads`]).
async fn open(registry: Arc<Registry>, name: String) -> Result<String, Failure> {
    blocking(move || {
        let repository = registry.repository(&name)?;
        fs::create_dir_all(repository.uploads_dir())?;
        let id = registry.sessions.new_id();
        fs::OpenOptions::new().write(true).create_new(true).open(repository.upload_path(&id))?;
        Ok(id)
    })
    .await
}

async fn take(
    registry: &Registry,
    name: &str,
    id: &str,
    algorithm: DigestAlgorithm,
) -> Result<Upload, Failure> {
    let path = registry.repository(name)?.upload_path(id);
    registry.sessions.take(path, algorithm).await
}

/// Appends a chunk, or a stream (end-5).
pub(super) async fn append(
    registry: Arc<Registry>,
    name: String,
    id: String,
    request: Request,
) -> Result<Response, Failure> {
    let upload = take(&registry, &name, &id, DigestAlgorithm::Sha256).await?;
    let upload = append_body(&registry, &name, &id, upload, request).await?;
    Ok(progress(StatusCode::ACCEPTED, &name, &id, upload.size()))
}

/// Ends an upload, with a last chunk or the whole content if there is a body (end-6).
pub(super) async fn finish(
    registry: Arc<Registry>,
    name: String,
    id: String,
    request: Request,
) -> Result<Response, Failure> {
    let Some(digest) = query_first(&request, "digest") else {
        return Err(Failure::new(Code::DigestInvalid, "the query names no `digest`"));
    };
    let digest = content::parse_digest(&digest)?;
    let upload = take(&registry, &name, &id, digest.algorithm().clone()).await?;
    let upload = append_body(&registry, &name, &id, upload, request).await?;
    commit(registry, name, id, upload, digest).await
}

async fn append_body(
    registry: &Registry,
    name: &str,
    id: &str,
    upload: Upload,
    request: Request,
) -> Result<Upload, Failure> {
    let length = match header(&request, "content-range") {
        None => None,
        Some(text) => match parse_content_range(text) {
            Some((start, length)) if start == upload.size() => Some(length),
            Some(_) => return Err(out_of_order(name, id, upload.size())),
            None => {
                return Err(Failure::new(
                    Code::BadRequest,
                    "a `Content-Range` has the form `<start>-<end>`",
                ));
            }
        },
    };
    upload.append(request.into_body(), length, registry).await
}

fn out_of_order(name: &str, id: &str, size: u64) -> Failure {
    Failure::new(Code::BlobUploadOutOfOrder, format!("the upload goes on at byte {size}"))
        .with_header("location", location(name, id))
        .with_header("range", uploaded(size))
}

async fn commit(
    registry: Arc<Registry>,
    name: String,
    id: String,
    upload: Upload,
    digest: Digest,
) -> Result<Response, Failure> {
    changing(registry, move |registry| {
        let repository = registry.repository(&name)?;
        let _given = registry.tidying.read().unwrap_or_else(PoisonError::into_inner);
        let _hold = registry.layout.hold()?;
        let finished = upload.finish(&digest, &registry.layout);
        registry.sessions.forget(&repository.upload_path(&id));
        finished?;
        repository.link_blob(&digest)?;
        Ok(created(&name, &digest))
    })
    .await
}

/// Says how far an upload has come (end-13).
pub(super) async fn status(
    registry: Arc<Registry>,
    name: String,
    id: String,
) -> Result<Response, Failure> {
    blocking(move || {
        let size = session::size(&registry.repository(&name)?.upload_path(&id))?;
        Ok(progress(StatusCode::NO_CONTENT, &name, &id, size))
    })
    .await
}

/// Throws an upload away (end-14).
pub(super) async fn cancel(
    registry: Arc<Registry>,
    name: String,
    id: String,
) -> Result<Response, Failure> {
    let upload = take(&registry, &name, &id, DigestAlgorithm::Sha256).await?;
    blocking(move || {
        upload.cancel()?;
        registry.sessions.forget(&registry.repository(&name)?.upload_path(&id));
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

fn progress(status: StatusCode, name: &str, id: &str, size: u64) -> Response {
    let headers = [
        ("location", location(name, id)),
        ("range", uploaded(size)),
        ("docker-upload-uuid", id.to_owned()),
    ];
    (status, headers).into_response()
}

fn created(name: &str, digest: &Digest) -> Response {
    let headers = [
        ("location", format!("/v2/{name}/blobs/{digest}")),
        ("docker-content-digest", digest.to_string()),
    ];
    (StatusCode::CREATED, headers).into_response()
}

fn location(name: &str, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}
