//! A blob that several threads write at once; the same threads hash it in order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;

use super::{BlobWriter, Layout};
use crate::Result;
use crate::content::{Digest, Hasher};

/// A blob that is written in pieces, from any thread and in any order; what is hashed is what was
/// written.
///
/// A fixed number of buffers goes round: [`buffer`](Self::buffer) lends one, [`put`](Self::put)
/// takes it back. They must be asked for in the order of the pieces they will hold (ask under the
/// lock that hands out the pieces), or the hash could wait for a piece that waits for a buffer.
///
/// Whoever puts a piece while nobody hashes does so himself, as far as there are pieces: no thread
/// waits for another as long as there is a buffer.
#[derive(Debug)]
pub struct PieceWriter {
    /// Holds the temporary file; nothing of it is visible before `commit`, or after a drop.
    blob: Option<BlobWriter>,
    file: Option<fs::File>,
    n_buffers: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: Vec<Vec<u8>>,
    /// How many threads wait for a buffer.
    n_waiting: usize,
    /// What is written and not hashed yet, by its place in the blob.
    written: BTreeMap<u64, Vec<u8>>,
    hashed: u64,
    /// Absent while somebody hashes.
    hasher: Option<Hasher>,
    /// Nobody wants the blob any more.
    is_abandoned: bool,
}

impl PieceWriter {
    /// Starts a new blob of a layout, or one that is only hashed and lies nowhere, with this many
    /// buffers of this many bytes.
    pub fn new(to: Option<&Layout>, n_buffers: usize, buffer_size: usize) -> Result<Self> {
        let blob = to.map(Layout::writer).transpose()?;
        let n_buffers = n_buffers.max(1);
        let state = State {
            free: (0..n_buffers).map(|_| Vec::with_capacity(buffer_size)).collect(),
            n_waiting: 0,
            written: BTreeMap::new(),
            hashed: 0,
            hasher: Some(Hasher::default()),
            is_abandoned: false,
        };
        let file = blob.as_ref().map(BlobWriter::second_handle).transpose()?;
        Ok(Self { blob, file, n_buffers, state: Mutex::new(state), freed: Condvar::new() })
    }

    /// Lends an empty buffer, as soon as there is one; none after [`abandon`](Self::abandon).
    pub fn buffer(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.is_abandoned {
                return None;
            }
            if let Some(mut buffer) = state.free.pop() {
                buffer.clear();
                return Some(buffer);
            }
            state.n_waiting += 1;
            state = self.freed.wait(state).expect("no holder panics");
            state.n_waiting -= 1;
        }
    }

    /// Writes a piece at its place, and hashes it when its turn comes.
    pub fn put(&self, offset: u64, piece: Vec<u8>) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.write_all_at(&piece, offset)?;
        }
        let mut state = self.lock();
        state.written.insert(offset, piece);
        // Whoever hashes takes this piece too.
        let Some(mut hasher) = state.hasher.take() else { return Ok(()) };
        while let Some(piece) = state.next() {
            drop(state);
            hasher.update(&piece);
            state = self.lock();
            state.hashed += piece.len() as u64;
            state.free.push(piece);
            // Waking somebody up is dear, so there is to be some work for him.
            if state.n_waiting > 0 && state.free.len() >= self.n_buffers / 2 {
                self.freed.notify_all();
            }
        }
        state.hasher = Some(hasher);
        if state.n_waiting > 0 {
            self.freed.notify_all();
        }
        Ok(())
    }

    /// Gives up: whoever waits for a buffer gets none.
    pub fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.freed.notify_all();
    }

    /// Makes the blob visible under its SHA-256 digest, once all that was put is hashed. A piece
    /// that is missing is an error.
    pub fn commit(self) -> Result<(Digest, u64)> {
        let State { written, hashed: size, hasher, .. } =
            self.state.into_inner().expect("no holder panics");
        if !written.is_empty() {
            return Err(
                io::Error::other(format!("a piece of the blob is missing at byte {size}")).into()
            );
        }
        let hasher = hasher.expect("nobody puts any more");
        match self.blob {
            Some(blob) => blob.replace(hasher, size)?.commit(None),
            None => Ok((hasher.finish(), size)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    /// The piece that is to be hashed next, if it is there.
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.is_abandoned { None } else { self.written.remove(&self.hashed) }
    }
}
