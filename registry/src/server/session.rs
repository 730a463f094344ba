//! Uploads on their way: a file each, and the hash of what is in it.
//!
//! An upload belongs to one request at a time. The newest wins: a client whose connection broke is
//! not kept out by a request that still waits for its next byte. A file survives a restart; its
//! hash is then computed anew.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use fs_err as fs;
use futures_util::StreamExt;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::failure::{Code, Failure};
use super::limits::{MAX_SESSIONS, MAX_WAITING, MAX_WAITING_KIB};
use super::metrics::Metrics;
use super::{Registry, blocking};
use crate::Layout;
use crate::content::{Digest, DigestAlgorithm, Hasher};
use crate::layout::hash_file;

/// The uploads that this process has seen, by their files.
pub(super) struct Sessions {
    open: Mutex<HashMap<PathBuf, Arc<Session>>>,
    /// What pieces of all uploads may wait for the disk: memory stays constant whatever the number
    /// and the sizes of blobs, in KiB.
    waiting: Arc<Semaphore>,
    ids: RandomState,
    n_ids: AtomicU64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
            ids: RandomState::new(),
            n_ids: AtomicU64::new(0),
        }
    }
}

struct Session {
    progress: Arc<tokio::sync::Mutex<Option<Progress>>>,
    newest: watch::Sender<()>,
}

#[derive(Clone)]
struct Progress {
    hasher: Hasher,
    size: u64,
}

/// An upload in the hands of one request.
pub(super) struct Upload {
    path: PathBuf,
    progress: OwnedMutexGuard<Option<Progress>>,
    overtaken: watch::Receiver<()>,
    _session: Arc<Session>,
}

impl Sessions {
    /// Makes an id that nobody can guess: two keyed hashes of a counter, as 32 hex digits.
    pub(super) fn new_id(&self) -> String {
        let n = self.n_ids.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", self.ids.hash_one((n, 0)), self.ids.hash_one((n, 1)))
    }

    /// Takes an upload over, from another request if need be.
    pub(super) async fn take(
        &self,
        path: PathBuf,
        algorithm: DigestAlgorithm,
    ) -> Result<Upload, Failure> {
        let (session, mut overtaken) = self.overtake(&path);
        let mut progress = tokio::select! {
            progress = session.progress.clone().lock_owned() => progress,
            _ = overtaken.changed() => return Err(taken()),
        };
        if progress.is_none() {
            let file = path.clone();
            let loaded = blocking(move || Progress::load(&file, &algorithm)).await;
            *progress = Some(loaded.inspect_err(|_| self.forget(&path))?);
        }
        Ok(Upload { path, progress, overtaken, _session: session })
    }

    fn overtake(&self, path: &Path) -> (Arc<Session>, watch::Receiver<()>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MAX_SESSIONS && !open.contains_key(path) {
            make_room(&mut open);
        }
        let session = open.entry(path.to_owned()).or_insert_with(|| {
            Arc::new(Session { progress: Arc::default(), newest: watch::Sender::new(()) })
        });
        session.newest.send_replace(());
        (session.clone(), session.newest.subscribe())
    }

    /// How many uploads are known.
    pub(super) fn len(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets an upload that ended.
    pub(super) fn forget(&self, path: &Path) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

/// Forgets the smaller half of the uploads that no request has in hands: they go on, but are hashed
/// from their files again.
fn make_room(open: &mut HashMap<PathBuf, Arc<Session>>) {
    let size = |session: &Session| {
        let progress = session.progress.try_lock().ok()?;
        Some(progress.as_ref().map_or(0, |progress| progress.size))
    };
    let idle = open.iter().filter(|(_, session)| Arc::strong_count(session) == 1);
    let mut idle: Vec<_> =
        idle.filter_map(|(path, session)| Some((size(session)?, path.clone()))).collect();
    idle.sort_unstable();
    idle.truncate(idle.len().div_ceil(2));
    idle.iter().for_each(|(_, path)| drop(open.remove(path)));
}

impl Progress {
    fn load(path: &Path, algorithm: &DigestAlgorithm) -> Result<Self, Failure> {
        let size = size(path)?;
        let mut hasher = Hasher::new(algorithm)?;
        hash_file(path, &mut hasher)?;
        Ok(Self { hasher, size })
    }
}

/// The number of bytes that an upload has so far.
pub(super) fn size(path: &Path) -> Result<u64, Failure> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown()),
        metadata => Ok(metadata?.len()),
    }
}

impl Upload {
    /// The number of bytes that it has so far.
    pub(super) fn size(&self) -> u64 {
        self.progress.as_ref().map_or(0, |progress| progress.size)
    }

    /// Appends a body. What arrived of one that breaks off stays, so that the client can go on from
    /// there; a body that has another `length` than was said leaves nothing.
    pub(super) async fn append(
        self,
        body: Body,
        length: Option<u64>,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let before = self.progress.clone();
        let mut overtaken = self.overtaken.clone();
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        // The writer owns the upload: should the client go away, it still ends in order before the
        // next request.
        let writing = tokio::spawn(self.write(receiver, registry.metrics.clone()));
        let fed = tokio::select! {
            fed = feed(body, length, sender, registry) => fed,
            _ = overtaken.changed() => Err(taken()),
        };
        let (mut upload, written) = writing.await.map_err(|error| Failure::internal(&error))??;
        written?;
        match fed {
            Ok(()) => Ok(upload),
            Err(failure) if failure.is(Code::SizeInvalid) => {
                *upload.progress = before;
                blocking(move || upload.truncate()).await?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Writes what comes. A thread is needed only while there is something to write: those are few,
    /// and uploads that wait for their clients may be many.
    async fn write(
        self,
        mut pieces: mpsc::Receiver<Piece>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Result<(), Failure>), Failure> {
        let (mut upload, mut file) = (self, None);
        loop {
            let mut come = Vec::with_capacity(MAX_WAITING);
            if pieces.recv_many(&mut come, MAX_WAITING).await == 0 {
                return Ok((upload, Ok(())));
            }
            let metrics = metrics.clone();
            let written;
            (upload, file, written) = blocking(move || {
                let written = upload.write_pieces(&mut file, come, &metrics);
                Ok((upload, file, written))
            })
            .await?;
            if written.is_err() {
                return Ok((upload, written));
            }
        }
    }

    fn write_pieces(
        &mut self,
        file: &mut Option<fs::File>,
        pieces: Vec<Piece>,
        metrics: &Metrics,
    ) -> Result<(), Failure> {
        let Some(progress) = self.progress.as_mut() else { return Err(unknown()) };
        let written = (|| {
            if file.is_none() {
                *file = Some(fs::OpenOptions::new().append(true).open(&self.path)?);
            }
            let file = file.as_mut().expect("it was opened");
            for (piece, _share) in pieces {
                file.write_all(&piece)?;
                progress.hasher.update(&piece);
                progress.size += piece.len() as u64;
                metrics.uploaded_bytes.inc_by(piece.len() as u64);
            }
            Ok(())
        })();
        // A piece that was written in part was not hashed.
        let undone = if written.is_err() { self.truncate() } else { Ok(()) };
        written.and(undone)
    }

    fn truncate(&self) -> Result<(), Failure> {
        let file = fs::OpenOptions::new().write(true).open(&self.path)?;
        Ok(file.set_len(self.size())?)
    }

    /// Makes it a blob of the layout, if it has this digest; else it is gone.
    pub(super) fn finish(mut self, digest: &Digest, layout: &Layout) -> Result<(), Failure> {
        let Some(Progress { hasher, .. }) = self.progress.take() else { return Err(unknown()) };
        let found = match *digest.algorithm() == hasher.algorithm() {
            true => hasher.finish(),
            false => {
                let mut hasher = Hasher::new(digest.algorithm())?;
                hash_file(&self.path, &mut hasher)?;
                hasher.finish()
            }
        };
        if found != *digest {
            fs::remove_file(&self.path)?;
            return Err(Failure::new(Code::DigestInvalid, format!("the upload is {found}")));
        }
        Ok(layout.take_in(&self.path, &found)?)
    }

    /// Throws it away.
    pub(super) fn cancel(mut self) -> Result<(), Failure> {
        *self.progress = None;
        Ok(fs::remove_file(&self.path)?)
    }
}

/// A piece of a body, with its share of the memory.
type Piece = (Bytes, OwnedSemaphorePermit);

/// Hands a body to the writer, piece by piece.
async fn feed(
    body: Body,
    length: Option<u64>,
    sender: mpsc::Sender<Piece>,
    registry: &Registry,
) -> Result<(), Failure> {
    let stall_timeout = registry.options.stall_timeout;
    let wrong_size =
        || Failure::new(Code::SizeInvalid, "the body has another length than its `Content-Range`");
    let mut pieces = body.into_data_stream();
    let mut left = length;
    loop {
        let next = tokio::time::timeout(stall_timeout, pieces.next()).await;
        let Some(piece) = next.map_err(|_| broken("the request stood still"))? else { break };
        let piece = piece.map_err(|_| broken("the request broke off"))?;
        if let Some(left) = &mut left {
            *left = left.checked_sub(piece.len() as u64).ok_or_else(wrong_size)?;
        }
        let share = piece.len().div_ceil(1024).min(MAX_WAITING_KIB) as u32;
        let share = registry.sessions.waiting.clone().acquire_many_owned(share).await;
        let share = share.map_err(|error| Failure::internal(&error))?;
        if sender.send((piece, share)).await.is_err() {
            return Ok(()); // the writer has failed, and says why
        }
    }
    match left {
        None | Some(0) => Ok(()),
        Some(_) => Err(wrong_size()),
    }
}

fn broken(why: &str) -> Failure {
    Failure::new(Code::BlobUploadBroken, why)
}

pub(super) fn unknown() -> Failure {
    Failure::new(Code::BlobUploadUnknown, "there is no such upload")
}

fn taken() -> Failure {
    Failure::new(Code::BlobUploadTaken, "another request has taken this upload over")
}
