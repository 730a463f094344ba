//! Referrers: manifests that have another one as their subject (distribution-spec, "Listing
//! Referrers").

use reqwest::header::{ETAG, HeaderValue, IF_MATCH};
use serde_json::{Value, json};

use super::http::{self, link};
use super::{Client, Repository, upload};
use crate::content::{self, Descriptor, Digest, Document, MAX_DOCUMENT_SIZE, MediaType};
use crate::{Error, HttpError, Reference, Result};

/// How often a list is changed anew because somebody else has changed it meanwhile.
const MAX_COLLISIONS: usize = 5;
/// The largest number of pages that a list is followed for.
const MAX_PAGES: usize = 1000;

impl Client {
    /// Lists what refers to a manifest, of one type of artifact or of all.
    /// A registry that keeps no such lists is asked for the tag that stands for one.
    pub async fn referrers(
        &self,
        subject: &Reference,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let digest = match subject.digest() {
            Some(digest) => digest.clone(),
            None => self.resolve(subject).await?.digest().clone(),
        };
        let repository = self.repository(subject)?;
        let mut found = match repository.referrers(&digest, artifact_type).await? {
            Some(found) => found,
            None => repository.listed(&digest).await?,
        };
        // Registries may ignore the filter.
        found.retain(|it| {
            artifact_type.is_none_or(|wanted| {
                it.artifact_type().as_ref().is_some_and(|of| of.as_ref() == wanted)
            })
        });
        Ok(found)
    }
}

impl Repository {
    /// Asks the registry's own list; `None` when it keeps none.
    async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let mut url = self.url(&format!("referrers/{subject}"))?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let (mut found, mut page, mut left) = (Vec::new(), Some(url), link::MAX_LIST);
        for _ in 0..MAX_PAGES {
            let Some(url) = page else { return Ok(Some(found)) };
            let response = self.send(http::Call::get(url.clone()), "pull").await?;
            // 404 is what the specification says; what does not know the address may say it
            // otherwise, or show a page for people.
            let is_unknown = matches!(response.status().as_u16(), 400 | 404 | 405 | 501)
                || (response.status() == 200 && http::is_page(&response));
            if is_unknown && found.is_empty() {
                return Ok(None);
            }
            let response = self.http().expect(response, &[200]).await?;
            page = link::next_page(&response, &url)?;
            let index: content::ImageIndex =
                self.http().page(response, MAX_DOCUMENT_SIZE, &mut left).await?;
            found.extend(index.manifests().iter().cloned());
        }
        Err(HttpError::protocol(self.shown(), "the list of referrers has no end").into())
    }

    /// Reads the list under the tag; no list, or something else under that tag, is an empty one.
    async fn listed(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let Some((descriptor, bytes)) = self.manifest(&fallback_tag(subject)).await? else {
            return Ok(Vec::new());
        };
        match content::is_index(descriptor.media_type()) {
            true => Ok(Document::parse(descriptor.media_type(), &bytes)?.manifests),
            false => Ok(Vec::new()),
        }
    }
}

/// The tag that stands for the list of referrers in a registry that keeps none.
fn fallback_tag(subject: &Digest) -> String {
    let (algorithm, hex) = (subject.algorithm().as_ref(), subject.digest());
    format!("{}-{}", &algorithm[..algorithm.len().min(32)], &hex[..hex.len().min(64)])
}

/// Adds a manifest to the list under its subject's tag.
pub(super) async fn note(
    repository: &Repository,
    subject: &Digest,
    descriptor: &Descriptor,
    document: &Document,
) -> Result<()> {
    let entry = json!({
        "mediaType": descriptor.media_type(),
        "digest": descriptor.digest(),
        "size": descriptor.size(),
        "artifactType": document.artifact_type,
        "annotations": document.annotations,
    });
    let entry: Value = entry
        .as_object()
        .expect("it is written as one")
        .clone()
        .into_iter()
        .filter(|(_, it)| !it.is_null())
        .collect();
    change(repository, subject, |list| {
        let is_new = !list.iter().any(|it| it["digest"] == entry["digest"]);
        if is_new {
            list.push(entry.clone());
        }
        is_new
    })
    .await
}

/// Takes a manifest out of the list under its subject's tag.
pub(super) async fn forget(
    repository: &Repository,
    subject: &Digest,
    digest: &Digest,
) -> Result<()> {
    change(repository, subject, |list| {
        let before = list.len();
        list.retain(|it| it["digest"] != digest.as_ref());
        list.len() < before
    })
    .await
}

/// Finds the subject of a manifest, when the registry leaves the list of its referrers to its
/// clients.
pub(super) async fn listed_subject(
    repository: &Repository,
    target: &str,
) -> Result<Option<(Digest, Digest)>> {
    let Some((descriptor, bytes)) = repository.manifest(target).await? else { return Ok(None) };
    let document = Document::parse(descriptor.media_type(), &bytes)?;
    let Some(subject) = document.subject else { return Ok(None) };
    let keeps_lists = repository.referrers(subject.digest(), None).await?.is_some();
    Ok((!keeps_lists).then(|| (subject.digest().clone(), descriptor.digest().clone())))
}

/// Changes the list, again if somebody else has changed it between reading and writing (where the
/// registry can tell).
async fn change(
    repository: &Repository,
    subject: &Digest,
    edit: impl Fn(&mut Vec<Value>) -> bool,
) -> Result<()> {
    let tag = fallback_tag(subject);
    for _ in 0..MAX_COLLISIONS {
        let (mut index, version) = read(repository, &tag).await?;
        let list = index
            .as_object_mut()
            .and_then(|index| index.entry("manifests").or_insert(json!([])).as_array_mut());
        let Some(list) = list else { return Err(not_a_list(repository, &tag)) };
        if !edit(list) || write(repository, &tag, &index, version).await? {
            return Ok(());
        }
    }
    Err(HttpError::protocol(repository.shown(), format!("the list {tag} changes all the time"))
        .into())
}

fn not_a_list(repository: &Repository, tag: &str) -> Error {
    HttpError::protocol(
        repository.shown(),
        format!("the tag {tag} holds something else than a list of referrers"),
    )
    .into()
}

/// Reads the list as it is, with what is not understood here, and its version.
async fn read(repository: &Repository, tag: &str) -> Result<(Value, Option<HeaderValue>)> {
    let url = repository.url(&format!("manifests/{tag}"))?;
    let call =
        http::Call::get(url.clone()).with(reqwest::header::ACCEPT, super::manifest::ACCEPTED);
    let response = repository.send(call, "pull,push").await?;
    if response.status() == 404 {
        let empty =
            json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": [] });
        return Ok((empty, None));
    }
    let response = repository.http().expect(response, &[200]).await?;
    let version = response.headers().get(ETAG).cloned();
    let index: Value = repository.http().json(response, MAX_DOCUMENT_SIZE).await?;
    match index["mediaType"] == MediaType::ImageIndex.as_ref() {
        true => Ok((index, version)),
        false => Err(not_a_list(repository, tag)),
    }
}

/// Writes the list; false when it is not the one any more that was read.
async fn write(
    repository: &Repository,
    tag: &str,
    index: &Value,
    version: Option<HeaderValue>,
) -> Result<bool> {
    let mut call =
        http::Call::new(reqwest::Method::PUT, repository.url(&format!("manifests/{tag}"))?)
            .with(reqwest::header::CONTENT_TYPE, MediaType::ImageIndex.as_ref())
            .carrying(http::Payload::Bytes(content::encode(index).into()));
    call.headers.extend(version.map(|version| (IF_MATCH, version)));
    let response = repository.send(call, "pull,push").await?;
    if response.status() == 412 {
        return Ok(false);
    }
    repository.http().expect(response, &upload::FINISHED).await.map(|_| true)
}
