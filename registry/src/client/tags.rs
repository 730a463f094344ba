//! Tags: lists and deletions.

use std::collections::BTreeSet;

use reqwest::{Method, Response, header::LINK};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{Client, Repository, http, link, location, manifest, referrers};
use crate::{
    Error, Reference, Result,
    content::{Digest, MAX_DOCUMENT_SIZE},
};

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
            page = repository.next_page(&response, &url)?;
            let list: TagList = repository.json(response, &url).await?;
            tags.extend(list.tags.unwrap_or_default());
        }
        Err(Error::Protocol {
            url: repository.shown(),
            reason: "the list of tags has no end".into(),
        })
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
            return Err(Error::UnknownManifest { reference: Box::new(reference.clone()) });
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

impl Repository {
    /// Reads a JSON document of bounded size.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        response: Response,
        url: &Url,
    ) -> Result<T> {
        let body = self.http().read(response, MAX_DOCUMENT_SIZE).await?;
        serde_json::from_slice(&body)
            .map_err(|source| Error::InvalidDocument { what: location::shown(url), source })
    }

    /// Finds the next page of a listing. It must be of the same origin and another page than this
    /// one.
    pub(super) fn next_page(&self, response: &Response, page: &Url) -> Result<Option<Url>> {
        let link = response.headers().get(LINK).and_then(|link| link.to_str().ok());
        let Some(next) = link.and_then(|link| link::next(link, page)) else { return Ok(None) };
        match location::is_same_origin(&next, page) && next != *page {
            true => Ok(Some(next)),
            false => Err(Error::Protocol {
                url: location::shown(page),
                reason: "the next page is the same one, or somewhere else".into(),
            }),
        }
    }
}
