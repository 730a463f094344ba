//! Uncompressed layers on their way into a blob: several threads read, write and hash.

use std::sync::Mutex;

use registry::content::Digest;
use registry::{Layout, PieceWriter};

use crate::archive::{Entry, LastFile, Stream};
use crate::error::{Error, Result, go_on};
use crate::event::Reporter;

/// Bytes that are read, written and hashed at once. All pieces together fit into a core's cache;
/// and pages of the file that is written are no larger than this, for which a kernel whose memory
/// is full of files need not bring pages together first.
const PIECE: usize = 64 * 1024;
/// So many pieces are on their way at a time, for each thread.
const N_PIECES: usize = 4;

/// With a file of this size in it, in bytes, a layer gets a second thread, even where that is one
/// more than there are cores: while one hashes, the other reads; and there may be nothing else left
/// to do.
const LARGE: u64 = 8 << 20;

/// Writes an archive of `files`, or the content of `raw` bare, as a blob; without a layout it is
/// only hashed.
pub(super) fn write(
    files: &[Entry],
    raw: Option<&Entry>,
    layout: Option<&Layout>,
    reporter: &Reporter<'_>,
) -> Result<(Digest, u64)> {
    let stream = match raw {
        Some(file) => Stream::file(file, PIECE),
        None => Stream::archive(files, PIECE)?,
    };
    let content = || raw.map_or(files, std::slice::from_ref).iter().map(|file| file.content.size());
    let n_threads = if content().max().unwrap_or(0) >= LARGE {
        reporter.n_threads.max(2)
    } else {
        reporter.n_threads
    };
    let n_buffers = N_PIECES * (n_threads + 1);
    let blob = PieceWriter::new(layout, n_buffers, PIECE)?;
    let failure = Mutex::new(None);
    let work = || {
        if let Err(error) = copy_pieces(&stream, &blob, reporter) {
            failure.lock().expect("no holder panics").get_or_insert(error);
            blob.abandon();
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(work);
        }
        work();
    });
    match failure.into_inner().expect("no holder panics") {
        Some(error) => Err(error),
        None => Ok(blob.commit()?),
    }
}

fn copy_pieces(
    stream: &Stream<'_>,
    blob: &PieceWriter,
    reporter: &Reporter<'_>,
) -> Result<(), Error> {
    let mut last = LastFile::default();
    while let Some((piece, mut buffer)) = stream.next(|| blob.buffer()) {
        let n_content = stream.read(&piece, &mut buffer, &mut last)?;
        blob.put(piece.offset, buffer)?;
        go_on(reporter.progress(n_content))?;
    }
    Ok(())
}
