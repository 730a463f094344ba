//! Files on their way from a hub.

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err as fs;
use reqwest::Response;
use reqwest::header::RANGE;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use url::Url;

use super::content_name::{Content, wrong_file};
use super::refusal::{Wanted, refusal};
use super::{Hub, HubFile, Snapshot, segments};
use crate::blocks::Blocks;
use crate::client::blocking::{blocking, joined};
use crate::client::download::{ResumableDownload, Source};
use crate::client::http::{Call, Http};
use crate::{ContentError, Error, Event, HubError, Listener, Result};

impl Hub {
    /// Brings a file into a folder, under its path in the repository.
    ///
    /// The content goes into `….incomplete` beside its place, where a later call goes on; it gets
    /// its name after its size, and its content by what the hub calls it, were verified. Large
    /// files come in several ranges at once. `on` is told [`Event::FileProgress`].
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
        let (opening, opened) = (place.clone(), file.clone());
        let writer = blocking(move || Writer::open(&opening, opened)).await?;
        let source =
            FileSource { hub: self, snapshot, file, url: self.file_url(snapshot, &file.path)? };
        let transfer = ResumableDownload::new(source, file.size, writer.size);
        let start = writer.size;
        let (sender, receiver) = mpsc::channel(16);
        let verified = snapshot.clone();
        let writing = spawn_blocking(move || writer.run(receiver, &verified));
        let outcome = receive(transfer, start, sender, file, on).await;
        let wrong = joined(writing).await?;
        let wrong = match outcome {
            Ok(()) => wrong,
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
            let mut content = Content::of(&file);
            content.read(blocks.path(), 0..file.size)?;
            match content.verify(&snapshot) {
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
}

/// The error for a file that somebody else is bringing to the same place.
pub(super) fn busy(snapshot: &Snapshot, file: &HubFile) -> Error {
    HubError::DownloadUnderWay { repo: snapshot.repo.to_string(), path: file.path.clone() }.into()
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
        // Of content without a name only the commit tells that it is still the same.
        let name = file.name().unwrap_or(&snapshot.sha);
        let oid: String = name.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
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

/// Appends to the partial file.
struct Writer {
    partial: fs::File,
    file: HubFile,
    size: u64,
}

impl Writer {
    /// Opens the partial file. What cannot be a beginning is thrown away.
    fn open(place: &Place, file: HubFile) -> Result<Self> {
        let partial =
            fs::OpenOptions::new().create(true).read(true).append(true).open(&place.partial)?;
        let mut size = partial.metadata()?.len();
        if size > place.size {
            partial.set_len(0)?;
            size = 0;
        }
        Ok(Self { partial, file, size })
    }

    /// Writes what comes, and says what is wrong with the whole, if anything.
    fn run(
        mut self,
        mut pieces: mpsc::Receiver<Bytes>,
        snapshot: &Snapshot,
    ) -> Result<Option<Error>> {
        let mut content = Content::of(&self.file);
        content.read(self.partial.path(), 0..self.size)?;
        while let Some(piece) = pieces.blocking_recv() {
            self.partial.write_all(&piece)?;
            content.update(&piece);
        }
        self.partial.sync_data()?;
        Ok(content.verify(snapshot))
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
