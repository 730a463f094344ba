//! A download that goes on where it broke off.

use bytes::Bytes;
use reqwest::Response;

use crate::client::http::{Http, check_first_byte, location, wrong_size};
use crate::{ContentError, Error, HttpError, Result};

/// A transfer that moves on by this many bytes has earned new patience.
const PROGRESS: u64 = 1024 * 1024;

/// Where the bytes come from.
pub(crate) trait Source {
    fn http(&self) -> &Http;

    /// Asks for the content, or for the rest of it: `range` is the value of the header `Range`.
    /// The answer is a success, or 416.
    fn open(&self, range: Option<&str>) -> impl Future<Output = Result<Response>> + Send;
}

/// Counts the bytes of a download; whoever takes them verifies the digest.
#[derive(Debug)]
pub(crate) struct ResumableDownload<S> {
    pub(crate) source: S,
    size: u64,
    received: u64,
    response: Option<Response>,
    /// Bytes that the server sends again because it knows no ranges.
    skip: u64,
    failures: u32,
    /// Where the patience was renewed.
    mark: u64,
}

impl<S: Source + Sync> ResumableDownload<S> {
    /// Prepares a download of `size` bytes, of which `received` are there already.
    pub(crate) fn new(source: S, size: u64, received: u64) -> Self {
        Self { source, size, received, response: None, skip: 0, failures: 0, mark: received }
    }

    /// Waits for the next piece; the end is `None`, after exactly as many bytes as there should be.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while self.received < self.size || self.response.is_some() {
            let Some(response) = self.response.take() else {
                // Opening has its own repetitions.
                self.response = Some(self.open().await?);
                continue;
            };
            match self.read(response).await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if !is_broken(&error) => return Err(error),
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(None)
    }

    /// Reads a piece. A response that is at its end, or broken, is not kept.
    async fn read(&mut self, mut response: Response) -> Result<Bytes> {
        let Some(mut chunk) = self.source.http().chunk(&mut response).await? else {
            let url = location::shown(response.url());
            let is_short = self.received < self.size;
            return if is_short {
                Err(HttpError::Cut { url, received: self.received }.into())
            } else {
                Ok(Bytes::new())
            };
        };
        self.response = Some(response);
        let repeated = self.skip.min(chunk.len() as u64);
        self.skip -= repeated;
        let chunk = chunk.split_off(repeated as usize);
        self.received += chunk.len() as u64;
        // An endless body ends here.
        match self.received > self.size {
            true => Err(self.wrong_size(self.received)),
            false => Ok(chunk),
        }
    }

    /// Opens the download where it stands.
    async fn open(&mut self) -> Result<Response> {
        let from = self.received;
        let range = format!("bytes={from}-");
        let response = self.source.open((from > 0).then_some(range.as_str())).await?;
        if response.status() == 416 {
            return Err(self.wrong_size(from));
        }
        let is_rest = response.status() == 206;
        if is_rest && from == 0 {
            let url = location::shown(response.url());
            return Err(HttpError::protocol(url, "a part that nobody asked for").into());
        }
        if is_rest {
            check_first_byte(&response, from)?;
        }
        let whole = response
            .content_length()
            .map(|length| if is_rest { length.saturating_add(from) } else { length });
        if let Some(found) = whole.filter(|found| *found != self.size) {
            return Err(wrong_size(&response, self.size, found));
        }
        self.skip = if is_rest { 0 } else { from };
        Ok(response)
    }

    /// Waits for the download to go on, unless it has failed too often without getting any further.
    async fn recover(&mut self, error: Error) -> Result<()> {
        if self.received >= self.mark.saturating_add(PROGRESS) {
            (self.mark, self.failures) = (self.received, 0);
        }
        self.failures += 1;
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            received = self.received,
            "download broke off"
        );
        match self.source.http().pause(self.failures, &error).await {
            true => Ok(()),
            false => Err(error),
        }
    }

    fn wrong_size(&self, found: u64) -> Error {
        ContentError::WrongSize { what: "the body".into(), expected: self.size, found }.into()
    }
}

/// Says whether a download broke off in a way in which the next may not.
pub(super) fn is_broken(error: &Error) -> bool {
    matches!(
        error,
        Error::Http(HttpError::Cut { .. } | HttpError::Stalled { .. } | HttpError::Request { .. })
    )
}
