//! The disk's side of a download: pieces are written where they belong, and the whole is hashed
//! from its start to its end.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use fs_err as fs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Result;
use crate::content::{Digest, Hasher};
use crate::layout::Partial;

/// How many pieces are written before the hash gets them: as many as have come, so that its thread
/// is woken seldom.
pub(super) const BATCH: usize = 32;
/// How much of a blob may wait for the disk and the hash, in KiB.
const MAX_WAITING_KIB: usize = 4 * 1024;
/// How many batches may wait for the hash.
const MAX_WAITING: usize = 1;

/// A piece of a blob.
pub(super) struct Piece {
    /// Where it belongs.
    offset: u64,
    bytes: Bytes,
    /// Its share of the memory; it comes back when the piece is hashed.
    share: OwnedSemaphorePermit,
}

/// The memory that a blob's pieces share, however many and however large they are.
#[derive(Clone)]
pub(super) struct Memory(Arc<Semaphore>);

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WAITING_KIB)))
    }

    /// Waits until there is room for a piece.
    pub(super) async fn piece(&self, offset: u64, bytes: Bytes) -> Piece {
        let share = bytes.len().div_ceil(1024).min(MAX_WAITING_KIB);
        let share =
            self.0.clone().acquire_many_owned(share as u32).await.expect("nobody closes it");
        Piece { offset, bytes, share }
    }
}

/// What comes next for the hash.
enum Portion {
    Bytes(Bytes, OwnedSemaphorePermit),
    /// It is in the file.
    File(Range<u64>),
}

/// Takes pieces until there are no more; returns the digest when the blob is whole. A second thread
/// hashes: pieces that come in order while they are in memory, the others from the file, which the
/// system still has in memory too.
pub(super) fn write_and_hash(
    partial: Partial,
    hasher: Hasher,
    size: u64,
    pieces: mpsc::Receiver<Piece>,
) -> Result<(Partial, Option<Digest>)> {
    let path = partial.blocks.path().to_owned();
    let (sender, receiver) = sync_channel(MAX_WAITING);
    thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(hasher, &path, &receiver));
        let written = write(partial, pieces, sender);
        let digest = match hashing.join() {
            Ok(digest) => digest,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let (partial, hashed) = written?;
        Ok((partial, if hashed == size { Some(digest?) } else { None }))
    })
}

/// Writes, and hands on what the hash needs next; returns how far the hash will have come.
fn write(
    mut partial: Partial,
    mut pieces: mpsc::Receiver<Piece>,
    to_hash: SyncSender<Vec<Portion>>,
) -> Result<(Partial, u64)> {
    let (mut frontier, mut come) = (0, Vec::<Piece>::with_capacity(BATCH));
    loop {
        let mut portions = Vec::new();
        catch_up(&partial, &mut frontier, &mut portions);
        for Piece { offset, bytes, share } in come.drain(..) {
            partial.blocks.write_at(&bytes, offset)?;
            if offset == frontier && !bytes.is_empty() {
                frontier += bytes.len() as u64;
                portions.push(Portion::Bytes(bytes, share));
            }
            catch_up(&partial, &mut frontier, &mut portions);
        }
        // A hash that has failed says so in the end.
        let _ = to_hash.send(portions);
        if pieces.blocking_recv_many(&mut come, BATCH) == 0 {
            return Ok((partial, frontier));
        }
    }
}

/// Adds what is in the file from the frontier on.
fn catch_up(partial: &Partial, frontier: &mut u64, portions: &mut Vec<Portion>) {
    let end = partial.blocks.contiguous_from(*frontier);
    if end > *frontier {
        portions.push(Portion::File(*frontier..end));
        *frontier = end;
    }
}

fn hash(mut hasher: Hasher, path: &Path, batches: &Receiver<Vec<Portion>>) -> Result<Digest> {
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    for portion in batches.iter().flatten() {
        match portion {
            Portion::Bytes(bytes, _share) => hasher.update(&bytes),
            Portion::File(range) => {
                file.seek(SeekFrom::Start(range.start))?;
                let mut left = range.end - range.start;
                while left > 0 {
                    let n = left.min(buffer.len() as u64) as usize;
                    file.read_exact(&mut buffer[..n])?;
                    hasher.update(&buffer[..n]);
                    left -= n as u64;
                }
            }
        }
    }
    Ok(hasher.finish())
}
