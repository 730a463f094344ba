//! Tags: lists and deletions.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;

use super::http::{self, link};
use super::{Client, manifest, referrers};
use crate::content::{Digest, MAX_DOCUMENT_SIZE};
use crate::{ClientError, HttpError, Reference, Result};

/// The largest number of pages that a listing is followed for.
const MAX_PAGES: usize = 10_000;

#[derive(Deserialize)]
struct TagList {
    /// Some registries write `null` for none.
    tags: Option<Vec<String>>,
}

impl Client {
    /// Lists the tags of a repository, sorted.
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>> {
        let repository = self.repository(repository)?;
        let mut tags = BTreeSet::new();
        let mut page = Some(repository.url("tags/list")?);
        for _ in 0..MAX_PAGES {
            let Some(url) = page else { return Ok(tags.into_iter().collect()) };
            let response = repository.send(http::Call::get(url.clone()), "pull").await?;
            let response = repository.http().expect(response, &[200]).await?;
            page = link::next_page(&response, &url)?;
            let list: TagList = repository.http().json(response, MAX_DOCUMENT_SIZE).await?;
            tags.extend(list.tags.unwrap_or_default());
        }
        Err(HttpError::protocol(repository.shown(), "the list of tags has no end").into())
    }

    /// Deletes what a reference names: the tag, or with a digest the manifest and all its tags.
    pub async fn delete(&self, reference: &Reference) -> Result<()> {
        let repository = self.repository(reference)?;
        let target = manifest::target(reference);
        // The list that the registry does not keep itself must lose the entry too.
        let subject = match reference.digest() {
            Some(_) => referrers::listed_subject(&repository, target).await?,
            None => None,
        };
        let call = http::Call::new(Method::DELETE, repository.url(&format!("manifests/{target}"))?);
        let response = repository.send(call, "delete,pull,push").await?;
        if response.status() == 404 {
            return Err(
                ClientError::UnknownManifest { reference: Box::new(reference.clone()) }.into()
            );
        }
        repository.http().expect(response, &[200, 202, 204]).await?;
        match subject {
            Some((subject, digest)) => referrers::forget(&repository, &subject, &digest).await,
            None => Ok(()),
        }
    }
}

impl Client {
    /// Deletes a blob of a repository; false when it has none such. Registries may refuse this.
    pub async fn delete_blob(&self, from: &Reference, digest: &Digest) -> Result<bool> {
        let repository = self.repository(from)?;
        let call = http::Call::new(Method::DELETE, repository.url(&format!("blobs/{digest}"))?);
        let response = repository.send(call, "delete,pull,push").await?;
        if response.status() == 404 {
            return Ok(false);
        }
        repository.http().expect(response, &[200, 202, 204]).await.map(|_| true)
    }
}
