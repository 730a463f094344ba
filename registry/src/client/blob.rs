//! Blobs on their way from a registry.

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, RANGE};
use reqwest::{Method, Response};
use url::Url;

use super::download::{ResumableDownload, Source};
use super::{Client, Repository, http};
use crate::content::{self, Descriptor, Digest, Hasher};
use crate::{ClientError, ContentError, Error, Reference, Result};

impl Client {
    /// Opens a blob of the repository that `from` names. Its end comes only after its content was
    /// verified.
    pub fn blob(&self, from: &Reference, descriptor: &Descriptor) -> Result<Blob> {
        let hasher = Hasher::new(descriptor.digest().algorithm())?;
        Ok(Blob {
            download: Download::new(self.repository(from)?, descriptor.clone())?,
            hasher: Some(hasher),
        })
    }

    /// Reads a whole document of at most 4 MiB, such as a configuration, and verifies it.
    pub async fn read_blob(&self, from: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>> {
        content::check_document_size(descriptor)?;
        let mut blob = self.blob(from, descriptor)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = blob.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// A blob that arrives piece by piece.
#[derive(Debug)]
pub struct Blob {
    download: Download,
    /// Taken when the content was verified.
    hasher: Option<Hasher>,
}

impl Blob {
    /// Waits for the next piece; after the last it verifies the content, and only then says `None`.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.download.chunk().await?;
        match (&chunk, &mut self.hasher) {
            (Some(bytes), Some(hasher)) => hasher.update(bytes),
            (None, hasher) => {
                if let Some(found) = hasher.take().map(Hasher::finish) {
                    self.download.check(found)?;
                }
            }
            (Some(_), None) => {}
        }
        Ok(chunk)
    }
}

/// A blob on its way. Its size is verified here; who takes the bytes verifies the digest.
#[derive(Debug)]
pub(super) struct Download {
    transfer: ResumableDownload<BlobSource>,
    descriptor: Descriptor,
}

#[derive(Debug)]
struct BlobSource {
    repository: Repository,
    url: Url,
}

impl Source for BlobSource {
    fn http(&self) -> &http::Http {
        self.repository.http()
    }

    async fn open(&self, range: Option<&str>) -> Result<Response> {
        let mut call = http::Call::get(self.url.clone());
        if let Some(range) = range {
            call = call.with(RANGE, range);
        }
        let response = self.repository.send(call, "pull").await?;
        let expected: &[u16] = if range.is_some() { &[200, 206, 416] } else { &[200] };
        self.http().expect(response, expected).await
    }
}

impl Download {
    pub(super) fn new(repository: Repository, descriptor: Descriptor) -> Result<Self> {
        let url = repository.url(&format!("blobs/{}", descriptor.digest()))?;
        let source = BlobSource { repository, url };
        Ok(Self { transfer: ResumableDownload::new(source, descriptor.size(), 0), descriptor })
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.transfer.chunk().await.map_err(|error| match error {
            error @ Error::Content(ContentError::WrongSize { .. }) => self.wrong(error),
            error => error,
        })
    }

    fn check(&self, found: Digest) -> Result<()> {
        let expected = self.descriptor.digest().clone();
        match expected == found {
            true => Ok(()),
            false => Err(self.wrong(
                ContentError::WrongDigest { what: "the body".into(), expected, found }.into(),
            )),
        }
    }

    /// The error that names this blob as one that is not what it should be.
    pub(super) fn wrong(&self, source: Error) -> Error {
        let (digest, repository) =
            (self.descriptor.digest().clone(), self.transfer.source.repository.shown());
        ClientError::WrongBlob { digest, repository, source: Box::new(source) }.into()
    }
}

impl Repository {
    /// Says whether the repository has a blob. The size is compared where the registry says one.
    /// One that does not answer the question has not said yes.
    pub(super) async fn has_blob(&self, descriptor: &Descriptor, actions: &str) -> Result<bool> {
        let response = self.send(self.head(descriptor)?, actions).await?;
        Ok(is_there(&response, descriptor))
    }

    /// Says whether the repository has a blob, where that is easily found out.
    pub(super) async fn seems_to_have(&self, descriptor: &Descriptor) -> bool {
        let Ok(call) = self.head(descriptor) else { return false };
        self.send(call.once(), "pull").await.is_ok_and(|response| is_there(&response, descriptor))
    }

    fn head(&self, descriptor: &Descriptor) -> Result<http::Call> {
        let url = self.url(&format!("blobs/{}", descriptor.digest()))?;
        Ok(http::Call::new(Method::HEAD, url))
    }
}

fn is_there(response: &Response, descriptor: &Descriptor) -> bool {
    let size = response.headers().get(CONTENT_LENGTH);
    let size = size.and_then(|size| size.to_str().ok()?.parse::<u64>().ok());
    response.status() == 200 && size.is_none_or(|size| size == descriptor.size())
}
