//! Tags: lists and deletions.

use std::collections::BTreeSet;

use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::Value;

use super::http::{self, link};
use super::{Client, Repository, manifest, referrers};
use crate::content::{Digest, MAX_DOCUMENT_SIZE};
use crate::reference::check_tag;
use crate::{ClientError, HttpError, Reference, Result};

/// The largest number of pages that a listing is followed for.
const MAX_PAGES: usize = 10_000;
/// What says that something was deleted.
const DELETED: [u16; 3] = [200, 202, 204];

#[derive(Deserialize)]
struct TagList {
    /// Some registries write `null` for none.
    tags: Option<Vec<Value>>,
}

impl Client {
    /// Lists the tags of a repository, sorted. What cannot be a tag is left out, with a warning.
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>> {
        let repository = self.repository(repository)?;
        let (mut tags, mut n_others) = (BTreeSet::new(), 0_usize);
        let mut left = link::MAX_LIST;
        let mut page = Some(repository.url("tags/list")?);
        for _ in 0..MAX_PAGES {
            let Some(url) = page else {
                if n_others > 0 {
                    let shown = repository.shown();
                    self.warn(format!("{shown} lists names that no tag can have: {n_others}"));
                }
                return Ok(tags.into_iter().collect());
            };
            let response = repository.send(http::Call::get(url.clone()), "pull").await?;
            let response = repository.http().expect(response, &[200]).await?;
            page = link::next_page(&response, &url)?;
            let list: TagList =
                repository.http().page(response, MAX_DOCUMENT_SIZE, &mut left).await?;
            for name in list.tags.unwrap_or_default() {
                match name.as_str().filter(|name| check_tag(name).is_ok()) {
                    Some(name) => drop(tags.insert(name.to_owned())),
                    None => n_others += 1,
                }
            }
        }
        Err(HttpError::protocol(repository.shown(), "the list of tags has no end").into())
    }

    /// Deletes what a reference names: the tag, or with a digest the manifest and all its tags.
    ///
    /// A registry that takes no tag away by itself is asked to delete what the tag names; that its
    /// other tags are gone with it is a warning (see [`take_warnings`](Self::take_warnings)).
    pub async fn delete(&self, reference: &Reference) -> Result<()> {
        let repository = self.repository(reference)?;
        let Some(digest) = reference.digest() else {
            return self.delete_tag(&repository, reference).await;
        };
        let response = repository.delete(digest.as_ref()).await?;
        if response.status() == 404 {
            return Err(
                ClientError::UnknownManifest { reference: Box::new(reference.clone()) }.into()
            );
        }
        repository.deleted(response, reference).await
    }

    async fn delete_tag(&self, repository: &Repository, reference: &Reference) -> Result<()> {
        let response = repository.delete(manifest::target(reference)).await?;
        // 400 is what distribution 2 says; 404 may also mean that there is no such tag.
        if !matches!(response.status().as_u16(), 400 | 404 | 405 | 501) {
            return repository.http().expect(response, &DELETED).await.map(drop);
        }
        let digest = self.resolve(reference).await?.digest().clone();
        let response = repository.delete(digest.as_ref()).await?;
        repository.deleted(response, reference).await?;
        self.warn(format!(
            "{} takes no tag away by itself: {digest} was deleted, and whatever other tags it had \
             are gone with it",
            reference.registry()
        ));
        Ok(())
    }
}

impl Repository {
    /// Asks for a manifest to be deleted, or a tag.
    async fn delete(&self, target: &str) -> Result<Response> {
        // The list that the registry does not keep itself must lose the entry too.
        let subject = match target.contains(':') {
            true => referrers::listed_subject(self, target).await?,
            false => None,
        };
        let call = http::Call::new(Method::DELETE, self.url(&format!("manifests/{target}"))?);
        let response = self.send(call, "delete,pull,push").await?;
        if let Some((subject, digest)) =
            subject.filter(|_| DELETED.contains(&response.status().as_u16()))
        {
            referrers::forget(self, &subject, &digest).await?;
        }
        Ok(response)
    }

    /// Checks that what is there was deleted.
    async fn deleted(&self, response: Response, reference: &Reference) -> Result<()> {
        let deletes_nothing = matches!(response.status().as_u16(), 400 | 404 | 405 | 501);
        let deleted = self.http().expect(response, &DELETED).await.map(drop);
        deleted.map_err(|source| match deletes_nothing {
            true => ClientError::Undeletable {
                reference: Box::new(reference.clone()),
                source: Box::new(source),
            }
            .into(),
            false => source,
        })
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
        repository.http().expect(response, &DELETED).await.map(|_| true)
    }
}
