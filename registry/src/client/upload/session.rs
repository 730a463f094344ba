//! Sessions of uploads, as a registry begins, continues and ends them.

use reqwest::header::{LOCATION, RANGE};
use reqwest::{Method, Response};
use url::Url;

use crate::client::http::{self, location};
use crate::client::quirks::Quirks;
use crate::client::{Listener, Repository};
use crate::content::{Descriptor, Digest};
use crate::{HttpError, Layout, Result};

/// A blob that goes to one repository.
pub(super) struct Upload<'a> {
    pub(super) repository: &'a Repository,
    pub(super) layout: &'a Layout,
    pub(super) descriptor: &'a Descriptor,
    pub(super) on: Listener<'a>,
}

/// What a registry makes of the wish to bring it a blob.
pub(super) enum Begun {
    Session(Session),
    Mounted,
}

/// An upload that a registry has begun.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) url: Url,
    /// How many bytes the registry has.
    pub(super) offset: u64,
    /// The fewest bytes that a chunk must have, unless it is the last.
    pub(super) min_chunk: u64,
}

/// What a registry knows of a session.
pub(super) enum Status {
    /// It goes on here. How much is there may be left open.
    Open(Url, Option<u64>),
    /// There is no such session, or none that can be asked.
    Gone,
}

impl Upload<'_> {
    /// Asks for a session, or for the blob to be taken from a sibling (distribution-spec, end-4a
    /// and end-11).
    pub(super) async fn begin(&self, sibling: Option<&str>) -> Result<Begun> {
        let mut url = self.repository.url("blobs/uploads/")?;
        let mut scopes = vec![self.repository.scope("pull,push")];
        if let Some(sibling) = sibling {
            url.query_pairs_mut()
                .append_pair("mount", self.descriptor.digest().as_ref())
                .append_pair("from", sibling);
            scopes.push(format!("repository:{sibling}:pull"));
        }
        let response =
            self.repository.registry.send(http::Call::new(Method::POST, url), &scopes).await?;
        let expected: &[u16] = if sibling.is_some() { &[201, 202] } else { &[202] };
        let response = self.repository.http().expect(response, expected).await?;
        if response.status() == 201 {
            return Ok(Begun::Mounted);
        }
        let said = response
            .headers()
            .get("oci-chunk-min-length")
            .and_then(|it| it.to_str().ok()?.parse().ok());
        let min_chunk = said.unwrap_or(0).max(self.quirks().min_chunk);
        Ok(Begun::Session(Session { url: location_of(&response)?, offset: 0, min_chunk }))
    }

    /// Asks how many bytes of a session the registry has (distribution-spec, end-13).
    pub(super) async fn status(&self, session: &Url) -> Result<Status> {
        let response = self.repository.send(http::Call::get(session.clone()), "pull,push").await?;
        if response.status() != 204 {
            return Ok(Status::Gone);
        }
        let received = response
            .headers()
            .get(RANGE)
            .and_then(|range| location::received(range.to_str().ok()?));
        Ok(Status::Open(location_of(&response).unwrap_or_else(|_| session.clone()), received))
    }

    /// Tells the registry that a session is given up. Whether it listens is its own affair
    /// (distribution-spec, end-14).
    pub(super) async fn cancel(&self, session: &Url) {
        let outcome = self
            .repository
            .send(http::Call::new(Method::DELETE, session.clone()).once(), "pull,push")
            .await;
        if let Err(error) = outcome {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the session could not be cancelled"
            );
        }
    }

    pub(super) fn quirks(&self) -> Quirks {
        Quirks::of(&self.repository.registry.host)
    }
}

/// Reads where a session goes on.
pub(super) fn location_of(response: &Response) -> Result<Url> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let resolved = location.and_then(|location| location::resolve(location, response.url()));
    resolved.ok_or_else(|| {
        HttpError::protocol(
            location::shown(response.url()),
            "there is no usable location for the upload",
        )
        .into()
    })
}

/// Compares the digest that a registry says it has stored, where it says one.
pub(crate) fn same_digest(response: &Response, expected: &Digest) -> Result<()> {
    let stored =
        response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
    match stored.filter(|stored| *stored != expected.as_ref()) {
        None => Ok(()),
        Some(stored) => Err(HttpError::protocol(
            location::shown(response.url()),
            format!(
                "{} was stored instead of {expected}",
                crate::client::http::envelope::printable(stored)
            ),
        )
        .into()),
    }
}
