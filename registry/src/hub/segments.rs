//! A large file in parts: several on their way at once, and each remembered, so that a killed download goes on.

use std::{
    collections::BTreeSet,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use fs_err as fs;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_RANGE, RANGE};
use tokio::task::{block_in_place, spawn_blocking};
use url::Url;

use super::{Hub, Snapshot, refusal};
use crate::{
    Error, Result,
    client::{http::Call, joined, location},
    content::{Digest, Hasher},
};

/// The size of a part in bytes.
pub(super) const PART: u64 = 16 * 1024 * 1024;
/// How many parts of a file are on their way at once.
const AT_ONCE: usize = 4;

/// A file on disk that is filled part by part, and beside it the numbers of the parts that are there.
struct Parts {
    file: fs::File,
    done: Mutex<fs::File>,
    size: u64,
    received: AtomicU64,
}

/// Brings a file in parts; returns the digest of what came. The host has to know ranges: `None` where it does not.
pub(super) async fn download(
    hub: &Hub,
    snapshot: &Snapshot,
    (path, url): (&str, Url),
    (partial, size): (&Path, u64),
    on: &(dyn Fn(u64) + Sync),
) -> Result<Option<Digest>> {
    let (parts, missing) = joined(spawn_blocking({
        let partial = partial.to_owned();
        move || Parts::open(&partial, size)
    }))
    .await?;
    on(parts.received.load(Ordering::Relaxed));
    let bring = |number: u64| bring(hub, snapshot, (path, &url), &parts, number, on);
    let outcome: Result<Vec<bool>> = stream::iter(missing).map(bring).buffer_unordered(AT_ONCE).try_collect().await;
    if !outcome?.into_iter().all(|is_part| is_part) {
        return Ok(None);
    }
    joined(spawn_blocking(move || parts.digest())).await.map(Some)
}

/// Brings one part, again and again as long as it gets further; says whether the host knows ranges.
async fn bring(
    hub: &Hub,
    snapshot: &Snapshot,
    (path, url): (&str, &Url),
    parts: &Parts,
    number: u64,
    on: &(dyn Fn(u64) + Sync),
) -> Result<bool> {
    let (mut from, end) = (number * PART, ((number + 1) * PART).min(parts.size));
    let mut failures = 0;
    while from < end {
        let call = Call::get(url.clone()).with(RANGE, &format!("bytes={from}-{}", end - 1));
        let mut response = hub.get(call).await?;
        match response.status().as_u16() {
            206 => {}
            200 => return Ok(false),
            _ => return Err(refusal::refusal(&hub.http, response, &snapshot.repo, refusal::Wanted::File(path)).await),
        }
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        if range.and_then(location::first_byte) != Some(from) {
            let url = location::shown(response.url());
            return Err(Error::Protocol { url, reason: "the range is not the one that was asked for".into() });
        }
        let before = from;
        let broken = loop {
            match hub.http.chunk(&mut response).await {
                Ok(Some(chunk)) => {
                    let wanted = chunk.slice(..chunk.len().min((end - from) as usize));
                    block_in_place_if_can(|| parts.file.file().write_all_at(&wanted, from))?;
                    from += wanted.len() as u64;
                    on(parts.received.fetch_add(wanted.len() as u64, Ordering::Relaxed) + wanted.len() as u64);
                    if from == end {
                        break None;
                    }
                }
                Ok(None) => break Some(Error::Cut { url: location::shown(response.url()), received: from }),
                Err(error) => break Some(error),
            }
        };
        let Some(error) = broken else { break };
        failures = if from > before { 1 } else { failures + 1 };
        if !hub.http.pause(failures, None).await {
            return Err(error);
        }
    }
    parts.remember(number)?;
    Ok(true)
}

/// Writing is short; on a runtime with several threads the others need not wait for it.
fn block_in_place_if_can<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}

impl Parts {
    /// Opens what is there of a file; returns the numbers of the parts that are missing.
    fn open(partial: &Path, size: u64) -> Result<(Self, Vec<u64>)> {
        let n_parts = size.div_ceil(PART);
        let known: BTreeSet<u64> = match fs::read_to_string(beside(partial)) {
            // Numbers that are cut off, or of another file, are none.
            Ok(text) if partial.metadata().is_ok_and(|metadata| metadata.len() == size) => {
                let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
                lines.filter_map(|line| line.parse().ok()).filter(|number| *number < n_parts).collect()
            }
            _ => BTreeSet::new(),
        };
        let file = fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(partial)?;
        file.set_len(size)?;
        let done = match known.is_empty() {
            true => fs::File::create(beside(partial))?,
            false => fs::OpenOptions::new().append(true).open(beside(partial))?,
        };
        let length = |number: &u64| (number * PART + PART).min(size) - number * PART;
        let received = AtomicU64::new(known.iter().map(length).sum());
        let missing = (0..n_parts).filter(|number| !known.contains(number)).collect();
        Ok((Self { file, done: Mutex::new(done), size, received }, missing))
    }

    /// Writes down that a part is there. A kill, unlike a power cut, loses nothing that was written; whatever is lost, the digest finds out.
    fn remember(&self, number: u64) -> Result<()> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(done.write_all(format!("{number}\n").as_bytes())?)
    }

    fn digest(&self) -> Result<Digest> {
        let (mut hasher, mut at) = (Hasher::default(), 0);
        let mut buffer = vec![0; 1024 * 1024];
        while at < self.size {
            let most = buffer.len().min((self.size - at) as usize);
            self.file.file().read_exact_at(&mut buffer[..most], at)?;
            hasher.update(&buffer[..most]);
            at += most as u64;
        }
        self.file.sync_data()?;
        Ok(hasher.finish())
    }
}

/// Where the numbers of the parts are.
pub(super) fn beside(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}
