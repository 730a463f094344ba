//! From a registry into a layout.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::{Semaphore, mpsc};

use super::blob::Download;
use super::blocking::{blocking, in_layout, joined};
use super::download::ParallelDownload;
use super::{Client, Direction, Event, Listener, Outcome, Repository};
use crate::blocks::BLOCK;
use crate::content::{self, Descriptor, Digest, Document};
use crate::{
    BlobWriter, ClientError, ContentError, Error, HttpError, Layout, LayoutError, Reference, Result,
};

/// How deep indexes may lie in indexes.
const MAX_DEPTH: usize = 8;
/// How much all manifests may have together that a reference stands for, in bytes; each counts as a
/// KiB at least.
const MAX_MANIFESTS: u64 = 64 * 1024 * 1024;
/// How much arrives between two reports of progress, in bytes.
const REPORT: u64 = 512 * 1024;

/// What a pull did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pulled {
    /// The manifest that was pulled.
    pub descriptor: Descriptor,
    /// The bytes of blobs and manifests that came over the wire.
    pub downloaded_bytes: u64,
    /// How many blobs were in the layout already.
    pub existing: usize,
}

/// Brings what a reference stands for from a registry into a layout, and tags it there if the
/// reference has a tag.
///
/// The reference is resolved once. A blob that an earlier pull did not bring to its end goes on
/// from there. Every blob is verified by size and digest before it is visible, and so is every one
/// that the layout has already: one that is damaged there is brought anew. Manifests come after what
/// they name, and the tag comes last.
///
/// ```no_run
/// use kit_registry::{Client, ClientOptions, Event, Layout, pull};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(ClientOptions::default())?;
/// let layout = Layout::init("layout".as_ref())?;
/// let from = "ghcr.io/demo/greeting:v1".parse()?;
/// let on = |event| {
///     if let Event::BlobDone { digest, .. } = event {
///         println!("{digest}");
///     }
/// };
/// let pulled = pull(&client, &from, &layout, &on).await?;
/// println!("{}", pulled.descriptor.digest());
/// # Ok(())
/// # }
/// ```
pub async fn pull(
    client: &Client,
    from: &Reference,
    layout: &Layout,
    on: Listener<'_>,
) -> Result<Pulled> {
    let hold = in_layout(layout, Layout::hold).await?;
    let repository = client.repository(from)?;
    let (root, bytes) = client.manifest(from).await?;
    on(Event::Resolved { reference: from.clone(), descriptor: root.clone() });
    let mut found = Found::walk(&repository, layout, root.clone(), bytes, on).await?;
    let downloaded = AtomicU64::new(found.downloaded);
    let existing = AtomicUsize::new(0);
    let options = &client.0.options;
    let connections = Semaphore::new(options.connections.max(options.concurrency).max(1));
    let download = |blob| ParallelDownload {
        repository: &repository,
        descriptor: blob,
        downloaded: &downloaded,
        connections: &connections,
        on,
    };
    let blobs = found.blobs.iter().map(|blob| pull_blob(download(blob), layout, &existing));
    stream::iter(blobs).buffer_unordered(options.concurrency.max(1)).try_collect::<()>().await?;
    let mut manifests = Vec::new();
    found.take(root.digest(), &mut manifests);
    for (descriptor, bytes) in manifests {
        let stored = descriptor.clone();
        in_layout(layout, move |layout| layout.put_manifest_as(&stored, &bytes)).await?;
        on(Event::ManifestDone { descriptor });
    }
    let (reference, descriptor) = (from.clone(), root.clone());
    in_layout(layout, move |layout| match reference.tag() {
        Some(_) => layout.tag(&descriptor, &reference),
        None => layout.add(&descriptor),
    })
    .await?;
    drop(hold);
    client.take_warnings().into_iter().for_each(|text| on(Event::Warning(text)));
    Ok(Pulled {
        descriptor: root,
        downloaded_bytes: downloaded.into_inner(),
        existing: existing.into_inner(),
    })
}

/// Everything that a manifest reaches.
#[derive(Default)]
pub(super) struct Found {
    manifests: HashMap<Digest, (Descriptor, Vec<u8>, Document)>,
    pub(super) blobs: Vec<Descriptor>,
    pub(super) downloaded: u64,
}

impl Found {
    /// Reads the manifests level by level; those that the layout has come from there.
    pub(super) async fn walk(
        repository: &Repository,
        layout: &Layout,
        root: Descriptor,
        bytes: Vec<u8>,
        on: Listener<'_>,
    ) -> Result<Self> {
        let mut found = Self { downloaded: bytes.len() as u64, ..Self::default() };
        let mut seen: HashSet<Digest> = HashSet::from([root.digest().clone()]);
        let mut level = vec![(root, bytes)];
        let mut size = 0_u64;
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for (descriptor, bytes) in level {
                let document = Document::parse(descriptor.media_type(), &bytes)?;
                for child in document.children().filter(|child| seen.insert(child.digest().clone()))
                {
                    match content::is_manifest(child.media_type()) {
                        true => {
                            // Before it is read: all that a level names is in memory at once.
                            size = size.saturating_add(child.size().max(1024));
                            if size > MAX_MANIFESTS {
                                return Err(too_many(repository));
                            }
                            let bytes = found.read(repository, layout, child, on).await?;
                            next.push((child.clone(), bytes));
                        }
                        false => found.blobs.push(child.clone()),
                    }
                }
                found.manifests.insert(descriptor.digest().clone(), (descriptor, bytes, document));
            }
            if next.is_empty() {
                return Ok(found);
            }
            level = next;
        }
        Err(too_many(repository))
    }

    /// Takes the manifests out in the order in which they are stored: what is named before what
    /// names it.
    pub(super) fn take(&mut self, digest: &Digest, order: &mut Vec<(Descriptor, Vec<u8>)>) {
        let Some((descriptor, bytes, document)) = self.manifests.remove(digest) else { return };
        document.children().for_each(|child| self.take(child.digest(), order));
        order.push((descriptor, bytes));
    }

    async fn read(
        &mut self,
        repository: &Repository,
        layout: &Layout,
        descriptor: &Descriptor,
        on: Listener<'_>,
    ) -> Result<Vec<u8>> {
        let here = descriptor.clone();
        match in_layout(layout, move |layout| layout.read(&here)).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => tell_damage(descriptor, &error, on),
        }
        let Some((found, bytes)) = repository.manifest(descriptor.digest().as_ref()).await? else {
            let (digest, repository) = (descriptor.digest().clone(), repository.shown());
            return Err(ClientError::UnknownBlob { digest, repository }.into());
        };
        self.downloaded += bytes.len() as u64;
        if found.size() != descriptor.size() || found.media_type() != descriptor.media_type() {
            let what = format!("manifest {}", descriptor.digest());
            let reason = "its size or its media type is not the one that its index says".into();
            return Err(ContentError::AmbiguousManifest { what, reason }.into());
        }
        Ok(bytes)
    }
}

fn too_many(repository: &Repository) -> Error {
    HttpError::protocol(repository.shown(), "the index names too many manifests, or too deep")
        .into()
}

async fn pull_blob(
    download: ParallelDownload<'_>,
    layout: &Layout,
    existing: &AtomicUsize,
) -> Result<()> {
    let (descriptor, on) = (download.descriptor, download.on);
    let digest = descriptor.digest();
    let here = descriptor.clone();
    match in_layout(layout, move |layout| layout.check_content(&here)).await {
        Ok(()) => {
            existing.fetch_add(1, Ordering::Relaxed);
            on(Event::BlobDone { digest: digest.clone(), outcome: Outcome::Existing });
            return Ok(());
        }
        Err(error) => tell_damage(descriptor, &error, on),
    }
    if crate::layout::is_elsewhere(descriptor) {
        return Ok(());
    }
    on(Event::BlobStarted { descriptor: descriptor.clone(), direction: Direction::Download });
    bring(&download, layout)
        .await
        .map_err(|source| explain(source, descriptor, download.repository))?;
    on(Event::BlobDone { digest: digest.clone(), outcome: Outcome::Transferred });
    Ok(())
}

/// Says that content which is here cannot be used, and why; that it is not here is no damage.
fn tell_damage(descriptor: &Descriptor, error: &Error, on: Listener<'_>) {
    if !matches!(error, Error::Layout(LayoutError::MissingBlob { .. })) {
        let digest = descriptor.digest();
        on(Event::Warning(format!("{digest} is damaged here and comes anew: {error}")));
    }
}

/// Says of which blob an error speaks, and whether its content was wrong or only did not come.
fn explain(source: Error, descriptor: &Descriptor, repository: &Repository) -> Error {
    let (digest, repository) = (descriptor.digest().clone(), repository.shown());
    match source {
        Error::Client(ClientError::WrongBlob { .. }) => source,
        Error::Content(ContentError::WrongDigest { .. } | ContentError::WrongSize { .. }) => {
            ClientError::WrongBlob { digest, repository, source: Box::new(source) }.into()
        }
        source => ClientError::Download { digest, repository, source: Box::new(source) }.into(),
    }
}

/// Moves a blob. A small one is not worth keeping a part of; one that somebody else is bringing is
/// brought twice.
async fn bring(download: &ParallelDownload<'_>, layout: &Layout) -> Result<()> {
    if download.descriptor.size() > BLOCK && download.run(layout).await? {
        return Ok(());
    }
    bring_whole(download.repository, layout, download.descriptor, download.downloaded, download.on)
        .await
}

/// Moves a blob in one go: this task reads the wire, another thread hashes and writes.
async fn bring_whole(
    repository: &Repository,
    layout: &Layout,
    descriptor: &Descriptor,
    downloaded: &AtomicU64,
    on: Listener<'_>,
) -> Result<()> {
    let mut download = Download::new(repository.clone(), descriptor.clone())?;
    let writer = in_layout(layout, Layout::writer).await?;
    let (sender, receiver) = mpsc::channel(16);
    let writing = tokio::task::spawn_blocking(move || write(writer, receiver));
    let outcome = receive(&mut download, descriptor, &sender, downloaded, on).await;
    drop(sender);
    // The writer's own error says more than that it stopped listening; and its file is gone before
    // this returns.
    let writer = joined(writing).await?;
    outcome?;
    let expected = descriptor.clone();
    blocking(move || writer.commit(Some(&expected))).await.map(drop)
}

/// Hands on what arrives, to its end or until nobody takes it any more.
async fn receive(
    download: &mut Download,
    descriptor: &Descriptor,
    to: &mpsc::Sender<Bytes>,
    downloaded: &AtomicU64,
    on: Listener<'_>,
) -> Result<()> {
    let (mut received, mut reported) = (0, 0);
    while let Some(chunk) = download.chunk().await? {
        received += chunk.len() as u64;
        downloaded.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if to.send(chunk).await.is_err() {
            break;
        }
        if received - reported >= REPORT || received == descriptor.size() {
            reported = received;
            on(Event::BlobProgress { digest: descriptor.digest().clone(), bytes: received });
        }
    }
    Ok(())
}

fn write(mut writer: BlobWriter, mut pieces: mpsc::Receiver<Bytes>) -> Result<BlobWriter> {
    while let Some(piece) = pieces.blocking_recv() {
        writer.write_all(&piece)?;
    }
    Ok(writer)
}
