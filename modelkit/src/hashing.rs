//! A reader whose bytes are hashed on a thread of their own, while they are worked on.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use registry::content::{Digest, DigestAlgorithm, Hasher};

/// Bytes read from the source at once, for the reasons given in `pieces`.
const PIECE: usize = 64 * 1024;
/// So many pieces are handed to the hash at once: waking its thread is dear.
const BATCH: usize = 4;
/// So many batches may wait to be hashed.
const N_WAITING: usize = 2;

/// Reads pieces from a source, hands them to whoever reads, and to the thread that hashes and
/// counts them.
pub(crate) struct HashingReader<R> {
    source: R,
    piece: Arc<Piece>,
    /// What of the piece is read.
    at: usize,
    /// Pieces that are not handed to the hash yet.
    batch: Vec<Arc<Piece>>,
    /// Pieces that are hashed, to be used again.
    spare: Vec<Arc<Piece>>,
    hashing: Option<Hashing>,
}

/// A buffer of which so many bytes are filled.
#[derive(Default)]
struct Piece {
    buffer: Vec<u8>,
    n_filled: usize,
}

struct Hashing {
    batches: SyncSender<Vec<Arc<Piece>>>,
    /// Batches that are hashed.
    used: Receiver<Vec<Arc<Piece>>>,
    thread: JoinHandle<(Hasher, u64)>,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(source: R, algorithm: &DigestAlgorithm) -> registry::Result<Self> {
        let mut hasher = Hasher::new(algorithm)?;
        let (batches, to_hash) = sync_channel::<Vec<Arc<Piece>>>(N_WAITING);
        let (give_back, used) = channel();
        let thread = std::thread::Builder::new().name("hash".into()).spawn(move || {
            let mut n_bytes = 0;
            for batch in to_hash {
                for piece in &batch {
                    hasher.update(piece.filled());
                    n_bytes += piece.n_filled as u64;
                }
                // The reader may be gone.
                let _ = give_back.send(batch);
            }
            (hasher, n_bytes)
        })?;
        let hashing = Some(Hashing { batches, used, thread });
        Ok(Self {
            source,
            piece: Arc::default(),
            at: 0,
            batch: Vec::new(),
            spare: Vec::new(),
            hashing,
        })
    }

    /// The digest of all that was read, and its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.hand_over()?;
        let hashing = self.hashing.take().expect("taken here only");
        drop(hashing.batches);
        match hashing.thread.join() {
            Ok((hasher, n_bytes)) => Ok((hasher.finish(), n_bytes)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let hashing = self.hashing.as_ref().expect("taken when it is finished");
        if self.spare.is_empty() {
            self.spare.extend(hashing.used.try_iter().flatten());
        }
        let spare = self.spare.pop().and_then(|piece| Arc::try_unwrap(piece).ok());
        let mut piece = spare.unwrap_or_else(|| Piece { buffer: vec![0; PIECE], n_filled: 0 });
        piece.fill(&mut self.source)?;
        self.piece = Arc::new(piece);
        self.at = 0;
        if self.piece.n_filled > 0 {
            self.batch.push(Arc::clone(&self.piece));
        }
        if self.batch.len() == BATCH { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let hashing = self.hashing.as_ref().expect("taken when it is finished");
        match std::mem::take(&mut self.batch) {
            batch if batch.is_empty() => Ok(()),
            batch => hashing
                .batches
                .send(batch)
                .map_err(|_| io::Error::other("the hashing thread ended")),
        }
    }
}

impl Piece {
    /// Fills the buffer, as far as the source goes.
    fn fill(&mut self, source: &mut impl Read) -> io::Result<()> {
        self.n_filled = 0;
        while self.n_filled < self.buffer.len() {
            match source.read(&mut self.buffer[self.n_filled..]) {
                Ok(0) => break,
                Ok(more) => self.n_filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn filled(&self) -> &[u8] {
        &self.buffer[..self.n_filled]
    }
}

impl<R: Read> BufRead for HashingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.n_filled {
            self.next_piece()?;
        }
        Ok(&self.piece.filled()[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.piece.n_filled);
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.fill_buf()?;
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R> Drop for HashingReader<R> {
    fn drop(&mut self) {
        if let Some(Hashing { batches, thread, .. }) = self.hashing.take() {
            drop(batches);
            let _ = thread.join();
        }
    }
}
