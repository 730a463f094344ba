//! A blob that several threads write at once, while one more hashes it in order.

use std::{collections::BTreeMap, io, sync::Arc, sync::Condvar, sync::Mutex, sync::MutexGuard, thread::JoinHandle};

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;

use super::{BlobWriter, Layout};
use crate::{
    Result,
    content::{Digest, Hasher},
};

/// A blob that is written in pieces, from any thread and in any order; what is hashed is what was written.
///
/// A fixed number of buffers goes round: [`buffer`](Self::buffer) lends one, [`put`](Self::put) takes it back. They must be
/// asked for in the order of the pieces they will hold (ask under the lock that hands out the pieces), or the hash could wait
/// for a piece that waits for a buffer.
#[derive(Debug)]
pub struct PieceWriter {
    /// Holds the temporary file; nothing of it is visible before `commit`, or after a drop.
    blob: Option<BlobWriter>,
    file: Option<fs::File>,
    queue: Arc<Queue>,
    hashing: Option<JoinHandle<Hasher>>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: Vec<Vec<u8>>,
    /// What is written and not hashed yet, by its place in the blob.
    waiting: BTreeMap<u64, Vec<u8>>,
    hashed: u64,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// No further pieces come.
    Ended,
    /// Nobody wants the blob any more.
    Abandoned,
}

impl Layout {
    /// Starts a new blob that several threads will write, with this many buffers of this many bytes.
    pub fn piece_writer(&self, n_buffers: usize, buffer_size: usize) -> Result<PieceWriter> {
        PieceWriter::new(Some(self.writer()?), n_buffers, buffer_size)
    }
}

impl PieceWriter {
    /// The same for a blob that is only hashed, and lies nowhere.
    pub fn nowhere(n_buffers: usize, buffer_size: usize) -> Result<Self> {
        Self::new(None, n_buffers, buffer_size)
    }

    fn new(blob: Option<BlobWriter>, n_buffers: usize, buffer_size: usize) -> Result<Self> {
        let free = (0..n_buffers.max(1)).map(|_| Vec::with_capacity(buffer_size)).collect();
        let state = State { free, waiting: BTreeMap::new(), hashed: 0, stage: Stage::Open };
        let queue = Arc::new(Queue { state: Mutex::new(state), changed: Condvar::new() });
        let file = blob.as_ref().map(BlobWriter::second_handle).transpose()?;
        let theirs = Arc::clone(&queue);
        let hashing = std::thread::Builder::new().name("hash".into()).spawn(move || theirs.hash())?;
        Ok(Self { blob, file, queue, hashing: Some(hashing) })
    }

    /// Lends an empty buffer, as soon as there is one; none after [`abandon`](Self::abandon).
    pub fn buffer(&self) -> Option<Vec<u8>> {
        self.queue.buffer()
    }

    /// Writes a piece at its place, and has it hashed when its turn comes.
    pub fn put(&self, offset: u64, piece: Vec<u8>) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.write_all_at(&piece, offset)?;
        }
        let mut state = self.queue.lock();
        state.waiting.insert(offset, piece);
        self.queue.changed.notify_all();
        Ok(())
    }

    /// Gives up: whoever waits for a buffer gets none.
    pub fn abandon(&self) {
        self.queue.lock().stage = Stage::Abandoned;
        self.queue.changed.notify_all();
    }

    /// Makes the blob visible under its SHA-256 digest, once all that was put is hashed. A piece that is missing is an error.
    pub fn commit(mut self) -> Result<(Digest, u64)> {
        let hasher = self.join(Stage::Ended).expect("hashed once: commit takes the writer");
        let state = self.queue.lock();
        if !state.waiting.is_empty() {
            return Err(io::Error::other(format!("a piece of the blob is missing at byte {}", state.hashed)).into());
        }
        let size = state.hashed;
        drop(state);
        match self.blob.take() {
            Some(blob) => blob.replace(hasher, size)?.commit(None),
            None => Ok((hasher.finish(), size)),
        }
    }

    fn join(&mut self, stage: Stage) -> Option<Hasher> {
        let hashing = self.hashing.take()?;
        self.queue.lock().stage = stage;
        self.queue.changed.notify_all();
        match hashing.join() {
            Ok(hasher) => Some(hasher),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for PieceWriter {
    fn drop(&mut self) {
        self.join(Stage::Abandoned);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn buffer(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.stage == Stage::Abandoned {
                return None;
            }
            if let Some(mut buffer) = state.free.pop() {
                buffer.clear();
                return Some(buffer);
            }
            state = self.changed.wait(state).expect("no holder panics");
        }
    }

    /// The hashing thread: takes pieces in order until no more come.
    fn hash(&self) -> Hasher {
        let mut hasher = Hasher::default();
        while let Some(piece) = self.next_piece() {
            hasher.update(&piece);
            let mut state = self.lock();
            state.hashed += piece.len() as u64;
            state.free.push(piece);
            self.changed.notify_all();
        }
        hasher
    }

    fn next_piece(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            let next = state.hashed;
            if state.stage == Stage::Abandoned {
                return None;
            }
            if let Some(piece) = state.waiting.remove(&next) {
                return Some(piece);
            }
            if state.stage == Stage::Ended {
                return None;
            }
            state = self.changed.wait(state).expect("no holder panics");
        }
    }
}
