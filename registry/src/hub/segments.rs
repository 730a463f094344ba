//! A large file in parts: several on their way at once, and what is there is saved, so that a
//! killed download goes on.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::RANGE;
use tokio::task::block_in_place;
use url::Url;

use super::refusal::{Wanted, refusal};
use super::{Hub, HubFile, Snapshot};
use crate::blocks::Blocks;
use crate::client::blocking::blocking;
use crate::client::http::{Call, check_first_byte, check_plain, location};
use crate::{Error, HttpError, Listener, Result};

/// The most bytes that are asked for at a time.
pub(super) const PART: u64 = 16 * 1024 * 1024;
/// How many parts of a file are on their way at once.
const AT_ONCE: usize = 4;

/// A file that comes in parts.
struct Parts<'a> {
    hub: &'a Hub,
    snapshot: &'a Snapshot,
    file: &'a HubFile,
    url: Url,
    /// Where it begins among the blocks.
    offset: u64,
    arrived: Mutex<Arrived>,
    on: Listener<'a>,
}

struct Arrived {
    blocks: Blocks,
    n_bytes: u64,
}

/// Brings what is missing of a file that lies at `offset` among the blocks. `None` where the host
/// knows no ranges; nothing is left of the attempt then.
pub(super) async fn fill(
    hub: &Hub,
    snapshot: &Snapshot,
    file: &HubFile,
    (blocks, offset): (Blocks, u64),
    on: Listener<'_>,
) -> Result<Option<Blocks>> {
    let whole = offset..offset + file.size;
    let missing: Vec<Range<u64>> =
        blocks.missing().iter().filter_map(|span| overlap(span, &whole)).collect();
    let n_bytes = file.size - missing.iter().map(|span| span.end - span.start).sum::<u64>();
    on(file.progress(n_bytes));
    let url = hub.file_url(snapshot, &file.path)?;
    let parts = Parts {
        hub,
        snapshot,
        file,
        url,
        offset,
        arrived: Mutex::new(Arrived { blocks, n_bytes }),
        on,
    };
    let spans = missing.into_iter().flat_map(parts_of);
    let bringing = stream::iter(spans).map(|span| parts.bring(span)).buffer_unordered(AT_ONCE);
    let knows_ranges = bringing.try_fold(true, |all, one| async move { Ok(all && one) }).await?;
    let blocks = parts.arrived.into_inner().unwrap_or_else(PoisonError::into_inner).blocks;
    match knows_ranges {
        true => Ok(Some(blocks)),
        false => blocking(move || blocks.discard()).await.map(|()| None),
    }
}

/// A span in parts that end where blocks end, so that what is there of one is whole blocks.
fn parts_of(span: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut start = span.start;
    std::iter::from_fn(move || {
        let part = start..((start / PART + 1) * PART).min(span.end);
        start = part.end;
        (part.start < part.end).then_some(part)
    })
}

/// What two spans have in common.
pub(super) fn overlap(a: &Range<u64>, b: &Range<u64>) -> Option<Range<u64>> {
    let (start, end) = (a.start.max(b.start), a.end.min(b.end));
    (start < end).then_some(start..end)
}

impl Parts<'_> {
    /// Brings one part, again and again as long as it gets further; says whether the host knows
    /// ranges.
    async fn bring(&self, span: Range<u64>) -> Result<bool> {
        let (http, mut from, mut failures) = (&self.hub.http, span.start, 0);
        while from < span.end {
            let (first, last) = (from - self.offset, span.end - 1 - self.offset);
            let call = Call::get(self.url.clone()).with(RANGE, &format!("bytes={first}-{last}"));
            let mut response = self.hub.get(call).await?;
            match response.status().as_u16() {
                206 => {
                    check_first_byte(&response, first)?;
                    check_plain(&response, span.end - from)?;
                }
                // One that refuses parts may give the whole.
                200 | 400 | 405 | 416 | 501 => return Ok(false),
                _ => {
                    return Err(refusal(
                        http,
                        response,
                        &self.snapshot.repo,
                        Wanted::File(&self.file.path),
                    )
                    .await);
                }
            }
            let before = from;
            let error = loop {
                match http.chunk(&mut response).await {
                    Ok(Some(chunk)) => {
                        let wanted = chunk.slice(..chunk.len().min((span.end - from) as usize));
                        self.write(&wanted, from)?;
                        from += wanted.len() as u64;
                        if from == span.end {
                            return Ok(true);
                        }
                    }
                    Ok(None) => {
                        break Error::from(HttpError::Cut {
                            url: location::shown(response.url()),
                            received: from - self.offset,
                        });
                    }
                    Err(error) => break error,
                }
            };
            failures = if from > before { 1 } else { failures + 1 };
            if !http.pause(failures, &error).await {
                return Err(error);
            }
        }
        Ok(true)
    }

    fn write(&self, piece: &[u8], offset: u64) -> Result<()> {
        let n_bytes = block_in_place_if_can(|| -> Result<u64> {
            let mut arrived = self.arrived();
            arrived.blocks.write_at(piece, offset)?;
            arrived.n_bytes += piece.len() as u64;
            Ok(arrived.n_bytes)
        })?;
        (self.on)(self.file.progress(n_bytes));
        Ok(())
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writing is short; on a runtime with several threads the others need not wait for it.
fn block_in_place_if_can<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}
