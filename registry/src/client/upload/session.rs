//! Sessions of uploads, as a registry begins, continues and ends them.

use reqwest::header::{LOCATION, RANGE};
use reqwest::{Method, Response};
use url::Url;

use crate::client::blocking::in_layout;
use crate::client::http::{self, location};
use crate::client::quirks::Quirks;
use crate::client::{Listener, Repository};
use crate::content::{self, Descriptor, Digest};
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

/// What says that a request was done. Of these the specification names one for each request;
/// registries differ.
pub(crate) const FINISHED: [u16; 4] = [200, 201, 202, 204];

impl Upload<'_> {
    /// Asks for a session (distribution-spec, end-4a).
    pub(super) async fn begin(&self) -> Result<Session> {
        let call = http::Call::new(Method::POST, self.repository.url("blobs/uploads/")?);
        let response = self.repository.send(call, "pull,push").await?;
        let response = self.repository.http().expect(response, &FINISHED).await?;
        self.session(&response)
    }

    /// Asks for the blob to be taken from a sibling (distribution-spec, end-11). Whatever keeps the
    /// registry from it, the blob can still be sent: `None`.
    pub(super) async fn mount(&self, sibling: &str) -> Result<Option<Begun>> {
        let mut url = self.repository.url("blobs/uploads/")?;
        url.query_pairs_mut()
            .append_pair("mount", self.descriptor.digest().as_ref())
            .append_pair("from", sibling);
        let scopes = [self.repository.scope("pull,push"), format!("repository:{sibling}:pull")];
        let call = http::Call::new(Method::POST, url).once();
        let refused = match self.repository.registry.send(call, &scopes).await {
            Ok(response) if response.status() == 201 => return Ok(Some(Begun::Mounted)),
            Ok(response) if response.status() == 202 => match self.session(&response) {
                Ok(session) => return Ok(Some(Begun::Session(session))),
                Err(error) => error.to_string(),
            },
            Ok(response) => response.status().to_string(),
            Err(error) => error.to_string(),
        };
        tracing::debug!(sibling, refused, "the blob cannot be mounted, and is sent");
        Ok(None)
    }

    fn session(&self, response: &Response) -> Result<Session> {
        let said = response
            .headers()
            .get("oci-chunk-min-length")
            .and_then(|it| it.to_str().ok()?.parse().ok());
        let min_chunk = said.unwrap_or(0).max(self.quirks().min_chunk);
        Ok(Session { url: location_of(response)?, offset: 0, min_chunk })
    }

    /// Hashes the blob as it lies here.
    pub(super) async fn check_content(&self) -> Result<()> {
        let descriptor = self.descriptor.clone();
        in_layout(self.layout, move |layout| layout.check_content(&descriptor)).await
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
    // A name by another algorithm says nothing of this one.
    let is_other = |stored: &&str| {
        !stored.is_empty()
            && !stored.eq_ignore_ascii_case(expected.as_ref())
            && !content::parse_digest(stored).is_ok_and(|it| it.algorithm() != expected.algorithm())
    };
    match stored.filter(is_other) {
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
