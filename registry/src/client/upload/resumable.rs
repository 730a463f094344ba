//! The content of a blob on its way: whole in one request, and only if that does not work, in
//! another way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Method, Response};

use super::saved_session::SavedSession;
use super::session::{FINISHED, Session, Status, Upload, location_of, same_digest};
use crate::client::Event;
use crate::client::http::body::FileBody;
use crate::client::http::{self, location};
use crate::{Error, HttpError, Result};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// A registry may think this many times longer about a whole blob than a transfer may stand still.
const DIGESTION: u32 = 10;
/// The size of a chunk for a registry, or for a proxy before one, that does not take a blob whole,
/// in bytes.
const CHUNK: u64 = 64 * 1024 * 1024;
/// The smallest chunk that is tried.
const MIN_CHUNK: u64 = 1024 * 1024;

/// An upload under way.
pub(super) struct ResumableUpload<'a> {
    upload: &'a Upload<'a>,
    session: Session,
    saved: Option<SavedSession>,
    /// The most bytes of one request; none while the blob goes whole.
    chunk: Option<u64>,
    failures: u32,
    /// Whether the registry has found other content than it should be, and got it anew.
    was_wrong: bool,
    sent: Arc<AtomicU64>,
}

impl<'a> ResumableUpload<'a> {
    pub(super) fn new(
        upload: &'a Upload<'a>,
        session: Session,
        saved: Option<SavedSession>,
    ) -> Self {
        Self {
            upload,
            session,
            saved,
            chunk: None,
            failures: 0,
            was_wrong: false,
            sent: Arc::default(),
        }
    }

    /// Sends until the registry has the blob; returns how many bytes that took.
    pub(super) async fn run(mut self) -> Result<u64> {
        self.note()?;
        if self.session.offset > 0 {
            self.tell(self.session.offset);
        }
        loop {
            let before = self.session.offset;
            let error = match self.step().await {
                Ok(true) => break,
                Ok(false) => {
                    self.failures = 0;
                    continue;
                }
                Err(error) => error,
            };
            tracing::debug!(error = &error as &dyn std::error::Error, "upload broke off");
            match self.recover(error, before).await {
                Ok(true) => break,
                Ok(false) => self.note()?,
                Err(error) => return Err(self.give_up(error).await),
            }
        }
        self.saved.take().map_or(Ok(()), SavedSession::forget)?;
        Ok(self.sent.load(Ordering::Relaxed))
    }

    /// Sends one request's worth; true when the registry has the blob.
    async fn step(&mut self) -> Result<bool> {
        let (size, offset) = (self.upload.descriptor.size(), self.session.offset);
        match self.chunk {
            None if offset == 0 => self.put_whole().await.map(|()| true),
            _ if offset < size => self.patch(size).await.map(|()| false),
            _ => self.close().await.map(|()| true),
        }
    }

    /// Sends the blob and ends the session in one request (distribution-spec, end-6).
    async fn put_whole(&mut self) -> Result<()> {
        let file = self.part(0, self.upload.descriptor.size())?;
        let put = self.put().carrying(http::Payload::File(file.clone()));
        let response = self.watch(put, &file).await?;
        self.ended(response).await
    }

    /// Ends the session. The registry may hash everything before it answers.
    async fn close(&self) -> Result<()> {
        let put = self.put().with_patience(DIGESTION);
        let response = self.upload.repository.send(put, "pull,push").await?;
        self.ended(response).await
    }

    fn put(&self) -> http::Call {
        let url = location::put_uri(&self.session.url, self.upload.descriptor.digest());
        http::Call::new(Method::PUT, url).with(CONTENT_TYPE, "application/octet-stream")
    }

    async fn ended(&self, response: Response) -> Result<()> {
        let response = self.upload.repository.http().expect(response, &FINISHED).await?;
        same_digest(&response, self.upload.descriptor.digest())
    }

    /// Sends what comes next (distribution-spec, end-5): all that is left, or as much as the
    /// registry takes at a time.
    async fn patch(&mut self, size: u64) -> Result<()> {
        let offset = self.session.offset;
        let most = self.chunk.into_iter().chain(self.upload.quirks().max_chunk).min();
        let end = most.map_or(size, |most| size.min(offset + most.max(self.session.min_chunk)));
        let file = self.part(offset, end)?;
        let patch = http::Call::new(Method::PATCH, self.session.url.clone())
            .with(CONTENT_TYPE, "application/octet-stream")
            .with(CONTENT_RANGE, &format!("{offset}-{}", end - 1))
            .carrying(http::Payload::File(file.clone()));
        let response = self.watch(patch, &file).await?;
        // Amazon says 201, Pulp 204.
        let response = self.upload.repository.http().expect(response, &FINISHED).await?;
        // One that says no new location keeps the old one.
        self.session.url = location_of(&response).unwrap_or_else(|_| self.session.url.clone());
        let taken = response
            .headers()
            .get(RANGE)
            .and_then(|range| location::received(range.to_str().ok()?));
        self.session.offset =
            taken.filter(|taken| (offset + 1..=end).contains(taken)).unwrap_or(end);
        self.note()
    }

    fn part(&self, offset: u64, end: u64) -> Result<FileBody> {
        let path = self.upload.layout.blob_path(self.upload.descriptor.digest())?;
        Ok(FileBody { path, offset, end, sent: self.sent.clone() })
    }

    /// Sends a request with a part of the file, tells how far it is, and gives it up when it stands
    /// still.
    async fn watch(&self, call: http::Call, file: &FileBody) -> Result<Response> {
        let (url, stall) = (call.url.clone(), self.upload.repository.http().stall_timeout());
        let scopes = [self.upload.repository.scope("pull,push")];
        let mut sending = std::pin::pin!(self.upload.repository.registry.send(call, &scopes));
        let start = self.sent.load(Ordering::Relaxed);
        let mut last = (start, Instant::now());
        let tick = TICK.min(stall);
        loop {
            if let Ok(response) = tokio::time::timeout(tick, &mut sending).await {
                return response;
            }
            let sent = self.sent.load(Ordering::Relaxed);
            let patience = if sent - start < file.remaining() { stall } else { stall * DIGESTION };
            if sent != last.0 {
                last = (sent, Instant::now());
                self.tell(file.end.min(file.offset + sent - start));
            } else if last.1.elapsed() > patience {
                return Err(self.upload.repository.http().stalled(&url));
            }
        }
    }

    fn tell(&self, bytes: u64) {
        let digest = self.upload.descriptor.digest().clone();
        (self.upload.on)(Event::BlobProgress { digest, bytes });
    }

    /// Finds out how to go on after an error; true when the registry has the blob after all. An
    /// error that does not pass comes back.
    async fn recover(&mut self, error: Error, before: u64) -> Result<bool> {
        if self.takes_less(&error) {
            self.begin_anew().await?;
            return Ok(false);
        }
        if is_wrong_content(&error) && !self.was_wrong {
            // Something on the way, or what the session had before: it gets one fresh chance.
            self.was_wrong = true;
            self.begin_anew().await?;
            return Ok(false);
        }
        if !is_passing(&error) {
            return Err(error);
        }
        self.failures += 1;
        if !self.upload.repository.http().pause(self.failures, &error).await {
            return Err(error);
        }
        match self.upload.status(&self.session.url).await {
            Ok(Status::Open(url, Some(offset)))
                if self.upload.quirks().can_resume && offset <= self.upload.descriptor.size() =>
            {
                if offset > before {
                    self.failures = 0;
                }
                (self.session.url, self.session.offset) = (url, offset);
                return Ok(false);
            }
            // The answer may be all that was lost.
            Ok(Status::Gone) if self.is_there().await => return Ok(true),
            _ => {}
        }
        // Whatever the old session holds is not known: only a new one is sure to be empty.
        self.begin_anew().await.map(|()| false)
    }

    async fn is_there(&self) -> bool {
        self.upload.repository.has_blob(self.upload.descriptor, "pull,push").await.unwrap_or(false)
    }

    async fn begin_anew(&mut self) -> Result<()> {
        self.upload.cancel(&self.session.url).await;
        self.session = self.upload.begin().await?;
        Ok(())
    }

    /// Makes the requests smaller, when an error says that they are too large.
    fn takes_less(&mut self, error: &Error) -> bool {
        let Error::Http(HttpError::Status { status: 405 | 411 | 413 | 501, .. }) = error else {
            return false;
        };
        let smaller =
            self.chunk.map_or(CHUNK, |chunk| chunk / 4).max(MIN_CHUNK).max(self.session.min_chunk);
        let is_smaller = self.chunk.is_none_or(|chunk| smaller < chunk);
        self.chunk = Some(smaller);
        is_smaller
    }

    fn note(&mut self) -> Result<()> {
        match &mut self.saved {
            Some(saved) => saved.note(&self.session.url),
            None => Ok(()),
        }
    }

    /// Ends an upload that cannot be brought to its end. One that only the way was bad for may go
    /// on another day.
    async fn give_up(mut self, error: Error) -> Error {
        if !is_passing(&error) || self.saved.is_none() {
            self.upload.cancel(&self.session.url).await;
            if let Some(Err(error)) = self.saved.take().map(SavedSession::forget) {
                return error;
            }
        }
        // A registry that finds other content than it should be may be right.
        let is_damaged = match is_wrong_content(&error) {
            true => self.upload.check_content().await.err(),
            false => None,
        };
        is_damaged.unwrap_or(error)
    }
}

/// Says whether an error may pass.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Http(HttpError::Request { .. } | HttpError::Stalled { .. }) => true,
        // 404 and 416: the session is gone, or is not where this client thinks; 409: another
        // request has it.
        Error::Http(HttpError::Status { status, .. }) => {
            matches!(status, 404 | 408 | 409 | 416 | 429 | 500 | 502 | 503 | 504)
        }
        _ => false,
    }
}

fn is_wrong_content(error: &Error) -> bool {
    let Error::Http(HttpError::Status { status: 400, reasons, .. }) = error else { return false };
    ["DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID"]
        .iter()
        .any(|code| reasons.contains(code))
}
