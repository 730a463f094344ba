//! A blob on its way into a layout: over one connection while that is fast enough, over several
//! when it is not, and from where the last attempt ended, even when that was another process.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, RANGE};
use tokio::sync::{Semaphore, mpsc};

use super::disk::{BATCH, Piece, write_and_hash};
use super::progress::Progress;
use super::resumable::is_broken;
use crate::client::blocking::{in_layout, joined};
use crate::client::http::{self, location};
use crate::client::{Event, Listener, Repository};
use crate::content::{Descriptor, Hasher};
use crate::layout::Partial;
use crate::{ContentError, Error, HttpError, Layout, Result};

/// How often it is asked whether another connection would help.
const TICK: Duration = Duration::from_millis(100);
/// A blob that comes faster than this needs no second connection, in bytes for each tick: 320 MB a
/// second.
const FAST: u64 = 32_000_000;
/// How much arrives between two reports of progress, in bytes.
const REPORT: u64 = 512 * 1024;
/// A connection that brings this many bytes has earned new patience.
const PROGRESS: u64 = 1024 * 1024;

/// A blob that comes from one repository.
pub(crate) struct ParallelDownload<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) descriptor: &'a Descriptor,
    /// The bytes that have come over the wire, all blobs together.
    pub(crate) downloaded: &'a AtomicU64,
    /// How many more connections there may be, all blobs together.
    pub(crate) connections: &'a Semaphore,
    pub(crate) on: Listener<'a>,
}

impl ParallelDownload<'_> {
    /// Brings the blob; false when somebody else is bringing it into the same layout.
    pub(crate) async fn run(&self, layout: &Layout) -> Result<bool> {
        let Some(partial) = self.open(layout).await? else { return Ok(false) };
        let missing = partial.blocks.missing();
        let is_resumed = missing.first().is_none_or(|first| *first != (0..self.descriptor.size()));
        let progress = Progress::new(&missing, self.descriptor.size());
        if is_resumed {
            self.tell(progress.present);
        }
        match self.attempt(partial, progress).await {
            // Parts of different content, or a server that is wrong about ranges: fetched whole it
            // may be right.
            Err((error, had_ranges)) if (had_ranges || is_resumed) && is_wrong(&error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "blob is fetched anew, whole"
                );
                let Some(mut partial) = self.open(layout).await? else { return Ok(false) };
                partial.blocks.reset()?;
                let progress = Progress::new(&partial.blocks.missing(), self.descriptor.size());
                progress.is_whole.store(true, Ordering::Relaxed);
                self.attempt(partial, progress).await.map_err(|(error, _)| error)?;
                Ok(true)
            }
            done => done.map(|()| true).map_err(|(error, _)| error),
        }
    }

    async fn open(&self, layout: &Layout) -> Result<Option<Partial>> {
        let descriptor = self.descriptor.clone();
        in_layout(layout, move |layout| Partial::open(layout, &descriptor)).await
    }

    /// Brings what is missing, and makes the blob visible. An error comes with whether ranges were
    /// asked for.
    async fn attempt(&self, partial: Partial, progress: Progress) -> Result<(), (Error, bool)> {
        let outcome = self.attempt_along(partial, &progress).await;
        outcome.map_err(|error| (error, progress.had_ranges.load(Ordering::Relaxed)))
    }

    async fn attempt_along(&self, partial: Partial, progress: &Progress) -> Result<()> {
        let (sender, receiver) = mpsc::channel(BATCH);
        let (hasher, size) =
            (Hasher::new(self.descriptor.digest().algorithm())?, self.descriptor.size());
        let storing =
            tokio::task::spawn_blocking(move || write_and_hash(partial, hasher, size, receiver));
        let outcome = self.bring(progress, sender).await;
        let blob = format!("{}@{}", self.repository.shown(), self.descriptor.digest());
        // The disk's own error says more than that it stopped listening.
        let (partial, digest) = joined(storing).await?;
        let ending = tokio::task::spawn_blocking(move || match (outcome, digest) {
            (Ok(()), Some(digest)) => partial.commit(digest),
            (Ok(()), None) => Err(HttpError::Cut { url: blob, received: 0 }.into()),
            // What is of another size is of another blob.
            (Err(error @ Error::Content(ContentError::WrongSize { .. })), _) => {
                partial.blocks.discard().and(Err(error))
            }
            (Err(error), _) => Err(error),
        });
        joined(ending).await
    }

    /// Brings every part, over as many connections as help.
    async fn bring(&self, progress: &Progress, to: mpsc::Sender<Piece>) -> Result<()> {
        let mut streams = FuturesUnordered::new();
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        let mut before = 0;
        loop {
            if streams.is_empty() {
                let Some(taker) = progress.queue().take() else { return Ok(()) };
                // The first connection of a blob waits for its turn.
                let permit = self.connections.acquire().await.ok();
                streams.push(self.stream(progress, taker, to.clone(), permit));
            }
            tokio::select! {
                Some(ended) = streams.next() => ended?,
                _ = ticks.tick() => {
                    let received = progress.received.load(Ordering::Relaxed);
                    let is_slow = received - before < FAST;
                    before = received;
                    // As many again: so that eight are reached in three steps, and one that helps
                    // no more is soon noticed.
                    let helps = is_slow && !progress.is_whole() && !progress.is_limited();
                    let n_more = if helps { streams.len() } else { 0 };
                    for _ in 0..n_more {
                        let Ok(permit) = self.connections.try_acquire() else { break };
                        let Some(taker) = progress.next() else { break };
                        streams.push(self.stream(progress, taker, to.clone(), Some(permit)));
                    }
                }
            }
        }
    }

    /// One connection's work: part after part, until there is none left.
    async fn stream(
        &self,
        progress: &Progress,
        taker: usize,
        to: mpsc::Sender<Piece>,
        _permit: Option<tokio::sync::SemaphorePermit<'_>>,
    ) -> Result<()> {
        progress.n_streams.fetch_add(1, Ordering::Relaxed);
        let mut next = Some(taker);
        let mut outcome = Ok(());
        while let Some(taker) = next {
            next = match self.part(progress, taker, &to).await {
                Ok(true) => progress.next(),
                Ok(false) => None,
                Err(error) => {
                    outcome = Err(error);
                    None
                }
            };
        }
        progress.n_streams.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    /// Brings one part, with patience. A part that this server cannot send by itself is given back,
    /// and so is one that it does not want to send beside others: false, one connection too many.
    async fn part(
        &self,
        progress: &Progress,
        taker: usize,
        to: &mpsc::Sender<Piece>,
    ) -> Result<bool> {
        let mut opened: Option<Opened> = None;
        let (mut failures, mut mark) = (0, progress.queue().rest(taker).start);
        loop {
            let rest = progress.queue().rest(taker);
            if rest.is_empty()
                && !(opened.as_ref().is_some_and(|it| it.is_open_ended) && progress.extend(taker))
            {
                return Ok(true);
            }
            let error = match opened.take() {
                None => match self.open_at(progress, &rest).await {
                    Ok(Some(answer)) => {
                        opened = Some(answer);
                        continue;
                    }
                    Ok(None) => {
                        progress.queue().give_back(taker);
                        return Ok(true);
                    }
                    Err(Error::Http(error)) if progress.is_shared() => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "no further connection"
                        );
                        progress.queue().give_back(taker);
                        progress.is_limited.store(true, Ordering::Relaxed);
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                },
                Some(mut answer) => match self.read(progress, taker, &mut answer).await {
                    Ok(Some((offset, bytes))) => {
                        opened = Some(answer);
                        // When nobody takes it any more, the disk has failed and says why.
                        if !bytes.is_empty()
                            && to.send(progress.memory.piece(offset, bytes).await).await.is_err()
                        {
                            return Ok(true);
                        }
                        continue;
                    }
                    Ok(None) => HttpError::Cut {
                        url: location::shown(answer.response.url()),
                        received: rest.start,
                    }
                    .into(),
                    Err(error) if is_broken(&error) => error,
                    Err(error) => return Err(error),
                },
            };
            if rest.start >= mark + PROGRESS {
                (mark, failures) = (rest.start, 0);
            }
            failures += 1;
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                at = rest.start,
                "download broke off"
            );
            if !self.repository.http().pause(failures, &error).await {
                return Err(error);
            }
        }
    }

    /// Opens the blob for a part; `None` when the server sends only the whole, and others are at it
    /// already.
    async fn open_at(&self, progress: &Progress, rest: &Range<u64>) -> Result<Option<Opened>> {
        let size = self.descriptor.size();
        let is_alone = !progress.is_shared();
        // One that is alone may go on as far as it gets.
        let end = if is_alone { size } else { rest.end };
        let needs_range = rest.start > 0 || end < size;
        let mut call =
            http::Call::get(self.repository.url(&format!("blobs/{}", self.descriptor.digest()))?);
        if needs_range {
            let last = if end == size { String::new() } else { (end - 1).to_string() };
            call = call.with(RANGE, &format!("bytes={}-{last}", rest.start));
            progress.had_ranges.store(true, Ordering::Relaxed);
        }
        // What is only to make it faster is not asked for twice.
        let call = if is_alone { call } else { call.once() };
        let response = self.repository.send(call, "pull").await?;
        let expected: &[u16] = if needs_range { &[200, 206, 416] } else { &[200] };
        let response = self.repository.http().expect(response, expected).await?;
        match response.status().as_u16() {
            416 => Err(self.wrong_size(rest.start)),
            206 => {
                self.check_part(&response, rest)?;
                Ok(Some(Opened { response, skip: 0, is_open_ended: end == size }))
            }
            _ => {
                if let Some(found) = response.content_length().filter(|found| *found != size) {
                    return Err(http::wrong_size(&response, size, found));
                }
                if rest.start > 0 && !is_alone {
                    progress.is_whole.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Ok(Some(Opened { response, skip: rest.start, is_open_ended: true }))
            }
        }
    }

    /// Checks that a part is the one that was asked for, and of a blob of this size.
    fn check_part(&self, response: &Response, rest: &Range<u64>) -> Result<()> {
        let header = response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default();
        if let Some(found) =
            location::total(header).filter(|total| *total != self.descriptor.size())
        {
            return Err(self.wrong_size(found));
        }
        http::check_first_byte(response, rest.start)
    }

    /// Reads a piece; `None` at the end of the answer.
    async fn read(
        &self,
        progress: &Progress,
        taker: usize,
        opened: &mut Opened,
    ) -> Result<Option<(u64, Bytes)>> {
        let Some(mut piece) = self.repository.http().chunk(&mut opened.response).await? else {
            return Ok(None);
        };
        let repeated = opened.skip.min(piece.len() as u64);
        opened.skip -= repeated;
        let mut piece = piece.split_off(repeated as usize);
        let (offset, own) = {
            let mut queue = progress.queue();
            let offset = queue.rest(taker).start;
            (offset, queue.advance(taker, piece.len() as u64))
        };
        // An endless body ends here; one that runs into somebody else's part is only cut.
        if offset + piece.len() as u64 > self.descriptor.size() {
            return Err(self.wrong_size(offset + piece.len() as u64));
        }
        let rest = piece.split_off(own as usize);
        if !rest.is_empty() && progress.extend(taker) {
            let more = progress.queue().advance(taker, rest.len() as u64);
            let mut whole = Vec::with_capacity(piece.len() + more as usize);
            whole.extend_from_slice(&piece);
            whole.extend_from_slice(&rest[..more as usize]);
            piece = whole.into();
        }
        self.count(progress, piece.len() as u64);
        Ok(Some((offset, piece)))
    }

    fn count(&self, progress: &Progress, n: u64) {
        self.downloaded.fetch_add(n, Ordering::Relaxed);
        let before = progress.received.fetch_add(n, Ordering::Relaxed);
        let bytes = progress.present + before + n;
        if bytes / REPORT > (bytes - n) / REPORT || bytes == self.descriptor.size() {
            self.tell(bytes);
        }
    }

    fn tell(&self, bytes: u64) {
        (self.on)(Event::BlobProgress { digest: self.descriptor.digest().clone(), bytes });
    }

    fn wrong_size(&self, found: u64) -> Error {
        ContentError::WrongSize { what: "the body".into(), expected: self.descriptor.size(), found }
            .into()
    }
}

/// An answer that brings bytes.
struct Opened {
    response: Response,
    /// Bytes that are here already, and come again because the server knows no ranges.
    skip: u64,
    /// Whether it goes on behind the part that it was opened for.
    is_open_ended: bool,
}

/// Says whether the content was wrong, and not only the way to it; or whether a server refuses
/// requests for parts.
fn is_wrong(error: &Error) -> bool {
    matches!(
        error,
        Error::Content(ContentError::WrongDigest { .. } | ContentError::WrongSize { .. })
            | Error::Http(HttpError::Protocol { .. })
            | Error::Http(HttpError::Status { status: 400 | 405 | 501, .. })
    )
}
