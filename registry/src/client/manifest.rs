//! Manifests: what a reference stands for.

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, Response};

use super::{Client, Repository, http, upload};
use crate::content::{self, Descriptor, Digest, Document, Hasher, MAX_DOCUMENT_SIZE, MediaType};
use crate::{ClientError, ContentError, Reference, Result};

/// Every type of manifest that this client can read.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

impl Client {
    /// Asks what a reference stands for; reads the manifest only where the registry does not say it
    /// otherwise.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor> {
        let repository = self.repository(reference)?;
        let call = manifest_call(&repository, Method::HEAD, target(reference))?;
        let response = repository.send(call, "pull").await?;
        let is_meant =
            |found: &Descriptor| reference.digest().is_none_or(|digest| digest == found.digest());
        if let Some(found) = described(&response).filter(is_meant) {
            return Ok(found);
        }
        // An answer to HEAD has no body, so that the reasons are in the answer to GET; and some
        // registries know no HEAD.
        self.manifest(reference).await.map(|(descriptor, _)| descriptor)
    }

    /// Reads the manifest that a reference stands for, and verifies it: against the digest that was
    /// asked for, the one that the registry says, and its media type.
    pub async fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Vec<u8>)> {
        let repository = self.repository(reference)?;
        let found = repository.manifest(target(reference)).await?;
        found.ok_or_else(|| {
            ClientError::UnknownManifest { reference: Box::new(reference.clone()) }.into()
        })
    }
}

/// What stands behind the repository: a digest, a tag, or the tag that is meant when nothing is
/// said.
pub(super) fn target(reference: &Reference) -> &str {
    reference.digest().map(AsRef::as_ref).or(reference.tag()).unwrap_or("latest")
}

fn manifest_call(repository: &Repository, method: Method, target: &str) -> Result<http::Call> {
    let url = repository.url(&format!("manifests/{target}"))?;
    Ok(http::Call::new(method, url).with(ACCEPT, ACCEPTED))
}

/// The media type without its parameters, unless it could be said of anything: servers that do not
/// know better, and proxies, say `application/json` or `text/plain`.
fn media_type(response: &Response) -> Option<MediaType> {
    let header = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = header.split(';').next().unwrap_or_default().trim();
    let says_what = media_type.starts_with("application/vnd.");
    says_what.then(|| MediaType::from(media_type))
}

fn stated_digest(response: &Response) -> Option<Digest> {
    let header = response.headers().get("docker-content-digest")?.to_str().ok()?;
    content::parse_digest(header).ok()
}

/// Reads a descriptor from the headers alone.
fn described(response: &Response) -> Option<Descriptor> {
    if !response.status().is_success() {
        return None;
    }
    let size = response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    let media_type = media_type(response).filter(content::is_manifest)?;
    Some(Descriptor::new(media_type, size, stated_digest(response)?))
}

impl Repository {
    /// Reads a manifest by its tag or digest; `None` when there is none.
    pub(super) async fn manifest(&self, target: &str) -> Result<Option<(Descriptor, Vec<u8>)>> {
        let response = self.send(manifest_call(self, Method::GET, target)?, "pull").await?;
        if response.status() == 404 {
            return Ok(None);
        }
        let response = self.http().expect(response, &[200]).await?;
        let (media_type, stated) = (media_type(&response), stated_digest(&response));
        let bytes = self.http().read_document(response, MAX_DOCUMENT_SIZE).await?;
        let requested = content::parse_digest(target).ok();
        let digest = self.verified(requested.as_ref().or(stated.as_ref()), &bytes)?;
        if let Some(stated) = &stated {
            self.verified(Some(stated), &bytes)?;
        }
        let media_type = media_type
            .or_else(|| content::own_media_type(&bytes))
            .unwrap_or_else(|| content::media_type_by_links(&bytes));
        // Two readings of one document are refused here (CVE-2021-41190).
        Document::parse(&media_type, &bytes)?;
        Ok(Some((Descriptor::new(media_type, bytes.len() as u64, digest), bytes)))
    }

    /// Hashes a manifest, with the algorithm of the digest that it should have, and compares.
    fn verified(&self, expected: Option<&Digest>, bytes: &[u8]) -> Result<Digest> {
        let Some(expected) = expected else { return Ok(content::digest(bytes)) };
        let mut hasher = Hasher::new(expected.algorithm())?;
        hasher.update(bytes);
        let found = hasher.finish();
        if found == *expected {
            return Ok(found);
        }
        let (digest, repository) = (expected.clone(), self.shown());
        let source =
            ContentError::WrongDigest { what: "the body".into(), expected: digest.clone(), found };
        Err(ClientError::WrongManifest { digest, repository, source: Box::new(source) }.into())
    }

    /// Says whether the repository has a manifest.
    pub(super) async fn has_manifest(&self, descriptor: &Descriptor) -> Result<bool> {
        let call = manifest_call(self, Method::HEAD, descriptor.digest().as_ref())?;
        let response = self.send(call, "pull,push").await?;
        Ok(response.status() == 200)
    }

    /// Stores a manifest under a tag or its digest. Returns whether the registry has taken note of
    /// its subject.
    pub(super) async fn put_manifest(
        &self,
        target: &str,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<bool> {
        let call = http::Call::new(Method::PUT, self.url(&format!("manifests/{target}"))?)
            .with(CONTENT_TYPE, descriptor.media_type().as_ref())
            .carrying(http::Payload::Bytes(bytes.to_vec().into()));
        let response = self.send(call, "pull,push").await?;
        let response = self.http().expect(response, &upload::FINISHED).await?;
        upload::same_digest(&response, descriptor.digest())?;
        Ok(response.headers().contains_key("oci-subject"))
    }
}
