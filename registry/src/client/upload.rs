//! Blobs on their way to a registry.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{
    Method, Response,
    header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE},
};
use url::Url;

use super::{Event, How, Repository, body::FileBody, http, location};
use crate::{
    Error, Layout, Result,
    content::{Descriptor, Digest},
};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// A registry may think this many times longer about a whole blob than a transfer may stand still.
const DIGESTION: u32 = 10;

/// A blob that goes to one repository.
pub(super) struct Upload<'a> {
    pub(super) repository: &'a Repository,
    pub(super) layout: &'a Layout,
    pub(super) descriptor: &'a Descriptor,
    pub(super) on: &'a (dyn Fn(Event) + Sync),
}

/// What a registry makes of the wish to bring it a blob.
enum Session {
    Open(Url),
    Mounted,
}

impl Upload<'_> {
    /// Brings the blob, unless it is there already or in one of `siblings`, other repositories of the registry.
    /// Returns how it came there, and how many bytes were sent for it.
    pub(super) async fn run(&self, siblings: &[String]) -> Result<(How, u64)> {
        if self.repository.has_blob(self.descriptor, "pull,push").await? {
            return Ok((How::Existing, 0));
        }
        let sibling = self.find_sibling(siblings).await;
        match self.begin(sibling).await? {
            Session::Mounted => Ok((How::Mounted, 0)),
            Session::Open(session) => self.send(session).await.map(|sent| (How::Transferred, sent)),
        }
    }

    /// Finds a repository that has the blob. Not being allowed to look is not an error: the blob is then sent.
    async fn find_sibling<'s>(&self, siblings: &'s [String]) -> Option<&'s str> {
        for name in siblings.iter().take(3) {
            let sibling = Repository { registry: self.repository.registry.clone(), name: name.clone() };
            if sibling.has_blob(self.descriptor, "pull").await.unwrap_or(false) {
                return Some(name);
            }
        }
        None
    }

    /// Asks for a session, or for the blob to be taken from a sibling (distribution-spec, end-4a and end-11).
    async fn begin(&self, sibling: Option<&str>) -> Result<Session> {
        let mut url = self.repository.url("blobs/uploads/")?;
        let mut scopes = vec![self.repository.scope("pull,push")];
        if let Some(sibling) = sibling {
            url.query_pairs_mut().append_pair("mount", self.descriptor.digest().as_ref()).append_pair("from", sibling);
            scopes.push(format!("repository:{sibling}:pull"));
        }
        let response = self.repository.registry.send(http::Call::new(Method::POST, url), &scopes).await?;
        let expected: &[u16] = if sibling.is_some() { &[201, 202] } else { &[202] };
        let response = self.repository.http().expect(response, expected).await?;
        match response.status().as_u16() {
            201 => Ok(Session::Mounted),
            _ => session(&response).map(Session::Open),
        }
    }

    /// Sends the content: whole, in one request. When that breaks off, the session goes on if the registry remembers it,
    /// and a new one begins if not.
    async fn send(&self, mut session: Url) -> Result<u64> {
        let path = self.layout.blob_path(self.descriptor.digest())?;
        let sent = Arc::new(AtomicU64::new(0));
        let mut file = FileBody { path, offset: 0, size: self.descriptor.size(), sent: sent.clone() };
        let mut failures = 0;
        loop {
            let before = file.offset;
            let error = match self.attempt(&session, &file).await {
                Ok(()) => return Ok(sent.load(Ordering::Relaxed)),
                Err(error) if !is_passing(&error) => return Err(error),
                Err(error) => error,
            };
            tracing::debug!(error = &error as &dyn std::error::Error, "upload broke off");
            failures += 1;
            if !self.repository.http().pause(failures).await {
                return Err(error);
            }
            match self.received(&session).await {
                Some((next, offset)) if offset > before && offset <= file.size => {
                    (session, file.offset, failures) = (next, offset, 0);
                }
                _ => {
                    // Whatever the old session holds is not known: only a new one is sure to be empty.
                    file.offset = 0;
                    let Session::Open(next) = self.begin(None).await? else { return Ok(sent.load(Ordering::Relaxed)) };
                    session = next;
                }
            }
        }
    }

    /// Sends what is missing, and ends the session.
    async fn attempt(&self, session: &Url, file: &FileBody) -> Result<()> {
        let whole = file.offset == 0;
        let put = |session: &Url| {
            http::Call::new(Method::PUT, location::put_uri(session, self.descriptor.digest()))
                .with(CONTENT_TYPE, "application/octet-stream")
        };
        let response = if whole {
            self.watch(put(session).carrying(http::Payload::File(file.clone())), file).await?
        } else {
            let mut session = session.clone();
            if file.remaining() > 0 {
                let patch = http::Call::new(Method::PATCH, session.clone())
                    .with(CONTENT_TYPE, "application/octet-stream")
                    .with(CONTENT_RANGE, &format!("{}-{}", file.offset, file.size - 1))
                    .carrying(http::Payload::File(file.clone()));
                let response = self.watch(patch, file).await?;
                session = self::session(&self.repository.http().expect(response, &[201, 202]).await?)?;
            }
            self.repository.send(put(&session), "pull,push").await?
        };
        let response = self.repository.http().expect(response, &[201, 204]).await?;
        same_digest(&response, self.descriptor.digest())
    }

    /// Sends a request with a file, tells how far it is, and gives it up when it stands still.
    async fn watch(&self, call: http::Call, file: &FileBody) -> Result<Response> {
        let (url, stall) = (call.url.clone(), self.repository.http().stall_timeout());
        let scopes = [self.repository.scope("pull,push")];
        let mut sending = std::pin::pin!(self.repository.registry.send(call, &scopes));
        let start = file.sent.load(Ordering::Relaxed);
        let mut last = (start, Instant::now());
        loop {
            if let Ok(response) = tokio::time::timeout(TICK, &mut sending).await {
                return response;
            }
            let sent = file.sent.load(Ordering::Relaxed);
            let patience = if sent - start < file.remaining() { stall } else { stall * DIGESTION };
            if sent != last.0 {
                last = (sent, Instant::now());
                let bytes = (file.offset + sent - start).min(file.size);
                (self.on)(Event::BlobProgress { digest: self.descriptor.digest().clone(), bytes });
            } else if last.1.elapsed() > patience {
                return Err(self.repository.http().stalled(&url));
            }
        }
    }

    /// Asks how many bytes of a session the registry has (distribution-spec, end-13).
    async fn received(&self, session: &Url) -> Option<(Url, u64)> {
        let response = self.repository.send(http::Call::get(session.clone()), "pull,push").await.ok()?;
        if response.status() != 204 {
            return None;
        }
        let range = response.headers().get(RANGE)?.to_str().ok()?;
        let next = self::session(&response).unwrap_or_else(|_| session.clone());
        Some((next, location::received(range)?))
    }
}

/// Reads where a session goes on.
fn session(response: &Response) -> Result<Url> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let resolved = location.and_then(|location| location::resolve(location, response.url()));
    resolved.ok_or_else(|| Error::Protocol {
        url: location::shown(response.url()),
        reason: "there is no usable location for the upload".into(),
    })
}

/// Compares the digest that a registry says it has stored, where it says one.
pub(super) fn same_digest(response: &Response, expected: &Digest) -> Result<()> {
    let stored = response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
    match stored.filter(|stored| *stored != expected.as_ref()) {
        None => Ok(()),
        Some(stored) => Err(Error::Protocol {
            url: location::shown(response.url()),
            reason: format!("{} was stored instead of {expected}", super::envelope::printable(stored)),
        }),
    }
}

fn is_passing(error: &Error) -> bool {
    match error {
        Error::Request { .. } | Error::Stalled { .. } => true,
        // 404 and 416: the session is gone, or is not where this client thinks.
        Error::Status { status, .. } => matches!(status, 404 | 408 | 416 | 429 | 500 | 502 | 503 | 504),
        _ => false,
    }
}
