//! Manifests: sent, taken in, and taken away.

use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fs_err as fs;

use super::limits::{MAX_IN_MEMORY, MAX_INDEX, MAX_MEDIA_TYPE, MAX_MESSAGE};
use super::ready::Ready;
use super::referrer::referrer;
use super::repository::repositories;
use super::route::Version;
use super::{
    Code, Failure, Registry, Repository, blocking, changing, header, manifest_body, query, ready,
};
use crate::content::{
    self, Descriptor, Digest, Document, Hasher, MAX_DOCUMENT_SIZE, MediaType, is_manifest,
};
use crate::layout::{hash_file, is_elsewhere};
use crate::reference::check_tag;
use crate::{ContentError, Error, Layout, LayoutError, file_stream};

/// Sends a manifest, byte for byte as it came (end-3; "Pulling manifests").
pub(super) async fn send(
    registry: Arc<Registry>,
    name: String,
    version: Version,
) -> Result<Response, Failure> {
    let (asked, of) = (Arc::clone(&registry), name.clone());
    let found = blocking(move || {
        let repository = asked.repository(&of)?;
        match find(&repository, &version) {
            Err(failure) if failure.is(Code::ManifestUnknown) => {
                match ready::find(&asked, &repository, &version)? {
                    Ready::Nothing => Err(failure),
                    ready => Ok((ready, Some(failure))),
                }
            }
            found => Ok((Ready::Made(found?), None)),
        }
    })
    .await?;
    let (descriptor, unknown) = match found {
        (Ready::Missing(source), unknown) => {
            // One at a time, and whoever waits keeps no thread.
            let turn = Arc::clone(&registry.making).acquire_owned().await;
            let turn = turn.map_err(|error| Failure::internal(&error))?;
            let (registry, name) = (Arc::clone(&registry), name);
            let made = blocking(move || {
                let _turn = turn;
                ready::make(&registry, &registry.repository(&name)?, &source)
            });
            (made.await?, unknown)
        }
        (Ready::Made(descriptor), unknown) => (Some(descriptor), unknown),
        (Ready::Nothing, unknown) => (None, unknown),
    };
    let Some(descriptor) = descriptor else {
        let nothing = || Failure::new(Code::ManifestUnknown, "there is no such manifest");
        return Err(unknown.unwrap_or_else(nothing));
    };
    blocking(move || {
        let body = verified(&registry.layout, &descriptor)?;
        let headers = [
            ("content-length", descriptor.size().to_string()),
            ("content-type", descriptor.media_type().to_string()),
            ("docker-content-digest", descriptor.digest().to_string()),
            ("etag", format!("\"{}\"", descriptor.digest())),
        ];
        Ok((StatusCode::OK, headers, body).into_response())
    })
    .await
}

/// The bytes of a manifest, whose digest was verified. Large ones stay on the disk, and come from
/// there as the client takes them.
fn verified(layout: &Layout, descriptor: &Descriptor) -> Result<Body, Failure> {
    if descriptor.size() <= MAX_IN_MEMORY {
        return Ok(layout.read(descriptor)?.into());
    }
    let file = layout.open(descriptor)?;
    let mut hasher = Hasher::new(descriptor.digest().algorithm())?;
    hash_file(file.path(), &mut hasher)?;
    let found = hasher.finish();
    if found != *descriptor.digest() {
        let (what, expected) = (file.path().display().to_string(), descriptor.digest().clone());
        return Err(Error::from(ContentError::WrongDigest { what, expected, found }).into());
    }
    Ok(Body::from_stream(file_stream::stream(file, 0..descriptor.size())))
}

/// The manifest of a repository that a path names.
pub(super) fn find(repository: &Repository, version: &Version) -> Result<Descriptor, Failure> {
    let found = match version {
        Version::Tag(tag) => repository.resolve(tag)?,
        Version::Digest(digest) => repository.manifest(digest)?,
    };
    found.ok_or_else(|| {
        Failure::new(Code::ManifestUnknown, format!("this repository has no manifest {version}"))
    })
}

/// Takes in a manifest whose content the repository has (end-7a; "Pushing Manifests"), and gives it
/// tags: the one of the path, or those of the query (end-7b).
pub(super) async fn put(
    registry: Arc<Registry>,
    name: String,
    version: Version,
    request: Request,
) -> Result<Response, Failure> {
    let media_type = header(&request, "content-type").map(without_parameters).map(MediaType::from);
    let tags = match &version {
        Version::Tag(tag) => vec![tag.clone()],
        Version::Digest(_) => query(&request, "tag"),
    };
    for tag in &tags {
        check_tag(tag).map_err(|reason| Failure::new(Code::TagInvalid, reason))?;
    }
    let (bytes, permit) = manifest_body::read(request, &registry).await?;
    changing(registry, move |registry| {
        let _one_of_few = permit;
        let media_type = media_type
            .or_else(|| content::own_media_type(&bytes))
            .unwrap_or(MediaType::Other(String::new()));
        let descriptor = describe(&version, media_type, &bytes)?;
        let document = Document::parse(descriptor.media_type(), &bytes)?;
        let repository = registry.repository(&name)?;
        let _given = registry.tidying.read().unwrap_or_else(PoisonError::into_inner);
        let _changing = registry.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _hold = registry.layout.hold()?;
        check_children(&repository, &document)?;
        check_referrer(&descriptor, &document)?;
        check_index(registry)?;
        keep(registry, &repository, &descriptor, &document, &bytes, &tags)?;
        Ok(created(&repository, &descriptor, &document, version, &tags))
    })
    .await
}

fn without_parameters(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn describe(version: &Version, media_type: MediaType, bytes: &[u8]) -> Result<Descriptor, Failure> {
    let Version::Digest(digest) = version else {
        return Ok(content::descriptor(media_type, bytes));
    };
    let mut hasher = Hasher::new(digest.algorithm())?;
    hasher.update(bytes);
    let found = hasher.finish();
    if found != *digest {
        return Err(Failure::new(Code::DigestInvalid, format!("the manifest is {found}")));
    }
    Ok(Descriptor::new(media_type, bytes.len() as u64, found))
}

/// Checks that the repository has what the manifest names: not every blob of the layout is its own.
fn check_children(repository: &Repository, document: &Document) -> Result<(), Failure> {
    for child in document.children() {
        let is_here = match is_manifest(child.media_type()) {
            true => repository.manifest(child.digest())?.is_some(),
            false => repository.has_blob(child.digest()) || is_elsewhere(child),
        };
        if !is_here {
            let message =
                format!("this repository has no {} {}", child.media_type(), child.digest());
            return Err(Failure::new(Code::ManifestBlobUnknown, message));
        }
    }
    Ok(())
}

/// Checks that the type of a manifest is none of megabytes, because it is kept apart and read with
/// each request; and that one with a subject can be listed: with all its annotations, in one answer
/// that every client takes.
fn check_referrer(descriptor: &Descriptor, document: &Document) -> Result<(), Failure> {
    let type_length = document.artifact_type.as_ref().map_or(0, |it| it.as_ref().len());
    if type_length > MAX_MEDIA_TYPE {
        let message = format!("the type of an artifact may have {MAX_MEDIA_TYPE} bytes");
        return Err(Failure::new(Code::ManifestInvalid, message));
    }
    let Some(referrer) = referrer(descriptor, document) else { return Ok(()) };
    match content::encode(&referrer).len() as u64 + MAX_MESSAGE as u64 > MAX_DOCUMENT_SIZE {
        true => Err(Failure::new(
            Code::ManifestTooLarge,
            "with all its annotations it does not fit into a list of referrers, which may have 4 MiB",
        )),
        false => Ok(()),
    }
}

/// Checks that there is room for another entry in the index: every change writes all of it anew.
pub(super) fn check_index(registry: &Registry) -> Result<(), Failure> {
    let size = fs::metadata(registry.layout.index_path()).map_or(0, |it| it.len());
    match size > MAX_INDEX {
        true => Err(Failure::new(
            Code::NoSpace,
            "the registry has as many manifests and tags as it can keep: delete some",
        )),
        false => Ok(()),
    }
}

/// Content first, then the repository's link, then the index: whoever finds the manifest finds it
/// whole.
fn keep(
    registry: &Registry,
    repository: &Repository,
    descriptor: &Descriptor,
    document: &Document,
    bytes: &[u8],
    tags: &[String],
) -> Result<(), Failure> {
    let layout = &registry.layout;
    layout.put_manifest_as(descriptor, bytes).map_err(|error| match error {
        Error::Content(ContentError::WrongSize { .. })
        | Error::Layout(LayoutError::MissingBlob { .. }) => {
            Failure::new(Code::ManifestInvalid, "it gives content another size than it has")
        }
        error => error.into(),
    })?;
    repository.link_manifest(descriptor, document)?;
    if tags.is_empty() {
        layout.add(descriptor)?;
    }
    for tag in tags {
        layout.tag(descriptor, &repository.reference(tag)?)?;
    }
    Ok(())
}

fn created(
    repository: &Repository,
    descriptor: &Descriptor,
    document: &Document,
    version: Version,
    tags: &[String],
) -> Response {
    let digest = descriptor.digest();
    let headers = [
        ("location", format!("/v2/{}/manifests/{digest}", repository.name())),
        ("docker-content-digest", digest.to_string()),
    ];
    let mut response = (StatusCode::CREATED, headers).into_response();
    let mut append = |name: &'static str, value: &str| {
        response
            .headers_mut()
            .append(name, value.parse().expect("digests and tags are printable ASCII"));
    };
    if let Some(subject) = &document.subject {
        append("oci-subject", subject.digest().as_ref());
    }
    if matches!(version, Version::Digest(_)) {
        tags.iter().for_each(|tag| append("oci-tag", tag));
    }
    response
}

/// Takes a tag away, or a manifest with all its tags in this repository (end-9; "Deleting
/// Manifests", "Deleting tags").
pub(super) async fn delete(
    registry: Arc<Registry>,
    name: String,
    version: Version,
) -> Result<Response, Failure> {
    changing(registry, move |registry| {
        let repository = registry.repository(&name)?;
        let _given = registry.tidying.read().unwrap_or_else(PoisonError::into_inner);
        let _changing = registry.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = find(&repository, &version)?;
        match &version {
            Version::Tag(tag) => drop(registry.layout.untag(&repository.reference(tag)?)?),
            Version::Digest(_) => delete_manifest(registry, &repository, &descriptor)?,
        }
        Ok(StatusCode::ACCEPTED.into_response())
    })
    .await
}

fn delete_manifest(
    registry: &Registry,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<(), Failure> {
    let layout = &registry.layout;
    let digest = descriptor.digest();
    let mut tags = Vec::new();
    repository.each_tag(|tag, tagged| {
        if tagged.digest() == digest {
            tags.push(tag.to_owned());
        }
    })?;
    for tag in tags {
        layout.untag(&repository.reference(&tag)?)?;
    }
    repository.unlink_manifest(descriptor)?;
    if !is_needed(layout, digest)? {
        layout.remove(digest)?;
    }
    Ok(())
}

/// Says whether a tag or another repository has this manifest.
pub(super) fn is_needed(layout: &Layout, digest: &Digest) -> crate::Result<bool> {
    let mut is_tagged = false;
    layout.each_entry(|tag, tagged| {
        is_tagged |= tag.is_some() && tagged.digest() == digest;
    })?;
    if is_tagged {
        return Ok(true);
    }
    for repository in repositories(layout)? {
        if repository.manifest(digest)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
