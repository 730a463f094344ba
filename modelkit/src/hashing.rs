//! A reader whose bytes are hashed on a thread of their own, while they are worked on.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use registry::content::{Digest, DigestAlgorithm, Hasher};

/// Bytes read from the source at once, for the reasons given in `pieces`.
const PIECE: usize = 64 * 1024;
/// So many pieces may wait to be hashed.
const N_WAITING: usize = 6;

/// Reads pieces from a source, hands them to whoever reads, and to the thread that hashes and counts them.
pub(crate) struct HashingReader<R> {
    source: R,
    piece: Arc<Piece>,
    /// What of the piece is read.
    at: usize,
    hashing: Option<Hashing>,
}

/// A buffer of which so many bytes are filled.
#[derive(Default)]
struct Piece {
    buffer: Vec<u8>,
    n_filled: usize,
}

struct Hashing {
    pieces: SyncSender<Arc<Piece>>,
    /// Pieces that are hashed, to be used again.
    used: Receiver<Arc<Piece>>,
    thread: JoinHandle<(Hasher, u64)>,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(source: R, algorithm: &DigestAlgorithm) -> registry::Result<Self> {
        let mut hasher = Hasher::new(algorithm)?;
        let (pieces, to_hash) = sync_channel::<Arc<Piece>>(N_WAITING);
        let (give_back, used) = channel();
        let thread = std::thread::Builder::new().name("hash".into()).spawn(move || {
            let mut n_bytes = 0;
            for piece in to_hash {
                hasher.update(piece.filled());
                n_bytes += piece.n_filled as u64;
                // The reader may be gone.
                let _ = give_back.send(piece);
            }
            (hasher, n_bytes)
        })?;
        Ok(Self { source, piece: Arc::default(), at: 0, hashing: Some(Hashing { pieces, used, thread }) })
    }

    /// The digest of all that was read, and its size in bytes.
    pub(crate) fn finish(mut self) -> io::Result<(Digest, u64)> {
        let hashing = self.hashing.take().expect("taken here only");
        drop(hashing.pieces);
        match hashing.thread.join() {
            Ok((hasher, n_bytes)) => Ok((hasher.finish(), n_bytes)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let hashing = self.hashing.as_ref().expect("taken when it is finished");
        let used = hashing.used.try_recv().ok().and_then(|piece| Arc::try_unwrap(piece).ok());
        let mut piece = used.unwrap_or_else(|| Piece { buffer: vec![0; PIECE], n_filled: 0 });
        piece.fill(&mut self.source)?;
        self.piece = Arc::new(piece);
        self.at = 0;
        if self.piece.n_filled > 0 {
            hashing.pieces.send(Arc::clone(&self.piece)).map_err(|_| io::Error::other("the hashing thread ended"))?;
        }
        Ok(())
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
        if let Some(Hashing { pieces, thread, .. }) = self.hashing.take() {
            drop(pieces);
            let _ = thread.join();
        }
    }
}
