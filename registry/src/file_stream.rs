//! A part of a file as a stream of pieces, for the body of a request or of an answer.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use fs_err as fs;
use fs_err::os::unix::fs::FileExt;
use futures_util::{Stream, stream};
use tokio::task::spawn_blocking;

/// How much all streams of the process may have in memory together, in bytes, as long as each has a
/// piece of the smallest size.
const BUDGET: u64 = 16 * 1024 * 1024;
/// How much is read at a time, in bytes. Large pieces are fewer system calls, and fewer times that
/// the other side is woken up.
const PIECES: Range<u64> = 32 * 1024..512 * 1024;

/// How many streams there are.
static N_STREAMS: AtomicU64 = AtomicU64::new(0);

/// Counts a stream as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        N_STREAMS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        N_STREAMS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn piece_size() -> u64 {
    (BUDGET / N_STREAMS.load(Ordering::Relaxed).max(1)).clamp(PIECES.start, PIECES.end)
}

/// Reads a span of a file, one piece at a time. What the system has in memory already is read where
/// the stream is polled; for the rest another thread waits.
pub(crate) fn stream(
    file: fs::File,
    span: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let reader = Reader { file, span, lent: VecDeque::new(), _counted: Counted::new() };
    stream::try_unfold(reader, |mut reader| async move {
        let size = piece_size().min(reader.span.end.saturating_sub(reader.span.start)) as usize;
        if size == 0 {
            return Ok(None);
        }
        let mut piece = reader.buffer(size);
        match read_now(&reader.file, reader.span.start, &mut piece) {
            Some(n_read) => piece.truncate(n_read),
            None => {
                (reader, piece) = spawn_blocking(move || {
                    let read = reader.file.read_exact_at(&mut piece, reader.span.start);
                    read.map(|()| (reader, piece))
                })
                .await
                .map_err(io::Error::other)??;
            }
        }
        let piece = piece.freeze();
        reader.span.start += piece.len() as u64;
        reader.lent.push_back(piece.clone());
        Ok(Some((piece, reader)))
    })
}

struct Reader {
    file: fs::File,
    span: Range<u64>,
    /// Pieces that were given away; whoever took one gives it back by dropping it. So no new memory
    /// is needed, and the same stays in the processor's cache.
    lent: VecDeque<Bytes>,
    _counted: Counted,
}

impl Reader {
    /// A buffer of this size: one that came back, if there is one.
    fn buffer(&mut self, size: usize) -> BytesMut {
        while let Some(piece) = self.lent.pop_front() {
            match piece.try_into_mut() {
                Ok(mut buffer) if buffer.len() >= size => {
                    buffer.truncate(size);
                    return buffer;
                }
                Ok(_) => {}
                Err(piece) => {
                    self.lent.push_front(piece);
                    break;
                }
            }
        }
        BytesMut::zeroed(size)
    }
}

/// Reads what needs no waiting, and says how much; `None` where it would have to wait, and where
/// the system cannot tell.
#[cfg(target_os = "linux")]
fn read_now(file: &fs::File, start: u64, into: &mut [u8]) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut buffers = [io::IoSliceMut::new(into)];
    // An error, and the end of a file that is too short, are told by whoever waits.
    preadv2(file.file(), &mut buffers, start, ReadWriteFlags::NOWAIT)
        .ok()
        .filter(|n_read| *n_read > 0)
}

#[cfg(not(target_os = "linux"))]
fn read_now(_: &fs::File, _: u64, _: &mut [u8]) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_span_comes_whole_and_a_file_that_is_too_short_is_an_error() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let bytes: Vec<u8> = (0..PIECES.end * 2 + 100).map(|n| (n % 251) as u8).collect();
        let path = dir.path().join("file");
        fs::write(&path, &bytes).expect("it writes");
        let read = |span: Range<u64>| {
            let file = fs::File::open(&path).expect("it opens");
            async move {
                stream(file, span).try_collect::<Vec<Bytes>>().await.map(|pieces| pieces.concat())
            }
        };
        let size = bytes.len() as u64;
        assert!(read(0..size).await.expect("it reads") == bytes);
        assert!(
            read(10..PIECES.end + 7).await.expect("it reads") == bytes[10..PIECES.end as usize + 7]
        );
        assert!(read(5..5).await.expect("it reads").is_empty());
        let error = read(10..size + 1).await.expect_err("a byte is missing");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
