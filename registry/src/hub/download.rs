//! Files on their way from a hub.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err as fs;
use reqwest::Response;
use reqwest::header::RANGE;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use url::Url;

use super::refusal::{Wanted, refusal};
use super::{Hub, HubFile, Snapshot, segments};
use crate::blocks::Blocks;
use crate::client::blocking::{blocking, joined};
use crate::client::download::{ResumableDownload, Source};
use crate::client::http::{Call, Http};
use crate::content::{Digest, Hasher};
use crate::layout::hash_file;
use crate::{ContentError, Error, Event, HubError, Listener, Result};

impl Hub {
    /// Brings a file into a folder, under its path in the repository.
    ///
    /// The content goes into `….incomplete` beside its place, where a later call goes on; it gets
    /// its name after its size, and its SHA-256 where the hub says one, were verified. Large files
    /// come in several ranges at once. `on` is told [`Event::FileProgress`].
    pub async fn download(
        &self,
        snapshot: &Snapshot,
        file: &HubFile,
        into: &Path,
        on: Listener<'_>,
    ) -> Result<()> {
        let place = Place::new(snapshot, file, into)?;
        if let Some(dir) = place.path.parent() {
            fs::create_dir_all(dir)?;
        }
        if file.size > segments::PART && self.download_parts(snapshot, file, &place, on).await? {
            return Ok(());
        }
        let opening = place.clone();
        let writer = blocking(move || Writer::open(&opening)).await?;
        let source =
            FileSource { hub: self, snapshot, file, url: self.file_url(snapshot, &file.path)? };
        let transfer = ResumableDownload::new(source, file.size, writer.size);
        let start = writer.size;
        let (sender, receiver) = mpsc::channel(16);
        let writing = spawn_blocking(move || writer.run(receiver));
        let outcome = receive(transfer, start, sender, file, on).await;
        let found = joined(writing).await?;
        let wrong = match outcome {
            Ok(()) => wrong_digest(snapshot, file, &found),
            Err(error @ Error::Content(ContentError::WrongSize { .. })) => {
                Some(wrong_file(snapshot, file, error.to_string()))
            }
            // What came so far stays for the next call.
            Err(error) => return Err(error),
        };
        blocking(move || place.settle(wrong)).await
    }
}

impl Hub {
    /// Brings a large file in several parts at once; false where the host knows no ranges, and
    /// nothing is left of the attempt.
    async fn download_parts(
        &self,
        snapshot: &Snapshot,
        file: &HubFile,
        place: &Place,
        on: Listener<'_>,
    ) -> Result<bool> {
        let (partial, size) = (place.partial.clone(), file.size);
        let mut map = partial.clone().into_os_string();
        map.push(".map");
        let opened = blocking(move || Blocks::open(partial, map.into(), size)).await?;
        let blocks = opened.ok_or_else(|| busy(snapshot, file))?;
        let Some(blocks) = segments::fill(self, snapshot, file, (blocks, 0), on).await? else {
            return Ok(false);
        };
        let (place, file, snapshot) = (place.clone(), file.clone(), snapshot.clone());
        blocking(move || {
            let found = blocks.hash(Hasher::default())?.finish();
            match wrong_digest(&snapshot, &file, &found) {
                None => blocks.publish(&place.path).map(|()| true),
                Some(error) => blocks.discard().and(Err(error)),
            }
        })
        .await
    }
}

impl HubFile {
    pub(super) fn progress(&self, bytes: u64) -> Event {
        Event::FileProgress { path: self.path.clone(), bytes }
    }

    /// Says whether a file on disk is this one, by its size and, where the hub says one, its
    /// SHA-256.
    pub fn is_at(&self, path: &Path) -> Result<bool> {
        if !fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == self.size) {
            return Ok(false);
        }
        let Some(sha256) = &self.sha256 else { return Ok(true) };
        let mut hasher = Hasher::default();
        hash_file(path, &mut hasher)?;
        Ok(hasher.finish().digest() == sha256)
    }
}

/// The error for a file that somebody else is bringing to the same place.
pub(super) fn busy(snapshot: &Snapshot, file: &HubFile) -> Error {
    HubError::DownloadUnderWay { repo: snapshot.repo.to_string(), path: file.path.clone() }.into()
}

/// What is wrong with a file whose digest is this one, if anything.
pub(super) fn wrong_digest(snapshot: &Snapshot, file: &HubFile, found: &Digest) -> Option<Error> {
    let is_wrong = file.sha256.as_deref().is_some_and(|sha256| sha256 != found.digest());
    is_wrong.then(|| wrong_file(snapshot, file, format!("it is {found}")))
}

fn wrong_file(snapshot: &Snapshot, file: &HubFile, reason: String) -> Error {
    HubError::WrongFile { repo: snapshot.repo.to_string(), path: file.path.clone(), reason }.into()
}

/// Hands on what arrives, to its end or until nobody takes it any more.
async fn receive(
    mut transfer: ResumableDownload<FileSource<'_>>,
    mut received: u64,
    to: mpsc::Sender<Bytes>,
    file: &HubFile,
    on: Listener<'_>,
) -> Result<()> {
    on(file.progress(received));
    while let Some(chunk) = transfer.chunk().await? {
        received += chunk.len() as u64;
        if to.send(chunk).await.is_err() {
            // The writer has failed; its error is waiting.
            break;
        }
        on(file.progress(received));
    }
    Ok(())
}

/// Where a file will be, and where it is until then.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    /// Its name holds the content's, so that no other content is ever continued.
    partial: PathBuf,
    size: u64,
}

impl Place {
    fn new(snapshot: &Snapshot, file: &HubFile, into: &Path) -> Result<Self> {
        let oid: String = file
            .sha256
            .as_ref()
            .unwrap_or(&file.oid)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(16)
            .collect();
        snapshot.check_path(file)?;
        let path = into.join(&file.path);
        let mut partial = path.clone().into_os_string();
        partial.push(format!(".{oid}.incomplete"));
        Ok(Self { path, partial: partial.into(), size: file.size })
    }

    /// Gives the file its name, or takes away what is known to be wrong.
    fn settle(self, wrong: Option<Error>) -> Result<()> {
        let Some(error) = wrong else { return Ok(fs::rename(&self.partial, &self.path)?) };
        fs::remove_file(&self.partial)?;
        Err(error)
    }
}

/// Appends to the partial file and hashes it.
struct Writer {
    file: fs::File,
    hasher: Hasher,
    size: u64,
}

impl Writer {
    /// Opens the partial file and hashes what is there. What cannot be a beginning is thrown away.
    fn open(place: &Place) -> Result<Self> {
        let mut file =
            fs::OpenOptions::new().create(true).read(true).append(true).open(&place.partial)?;
        let mut hasher = Hasher::default();
        let mut size = file.metadata()?.len();
        if size > place.size {
            file.set_len(0)?;
            size = 0;
        }
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Self { file, hasher, size }),
                n => hasher.update(&buffer[..n]),
            }
        }
    }

    fn run(mut self, mut pieces: mpsc::Receiver<Bytes>) -> Result<Digest> {
        while let Some(piece) = pieces.blocking_recv() {
            self.file.write_all(&piece)?;
            self.hasher.update(&piece);
        }
        self.file.sync_data()?;
        Ok(self.hasher.finish())
    }
}

/// The file, as the hub gives it.
struct FileSource<'a> {
    hub: &'a Hub,
    snapshot: &'a Snapshot,
    file: &'a HubFile,
    url: Url,
}

impl Source for FileSource<'_> {
    fn http(&self) -> &Http {
        &self.hub.http
    }

    async fn open(&self, range: Option<&str>) -> Result<Response> {
        let mut call = Call::get(self.url.clone());
        if let Some(range) = range {
            call = call.with(RANGE, range);
        }
        let response = self.hub.get(call).await?;
        match response.status().as_u16() {
            200 | 206 | 416 => Ok(response),
            _ => Err(refusal(
                &self.hub.http,
                response,
                &self.snapshot.repo,
                Wanted::File(&self.file.path),
            )
            .await),
        }
    }
}
