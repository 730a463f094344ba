//! A part of a file as the body of a request.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use fs_err as fs;
use futures_util::stream;
use tokio::sync::mpsc;

/// How much is read at a time, in bytes.
const PIECE: u64 = 256 * 1024;

/// A part of a file. It can be sent several times; each time the file is read anew.
#[derive(Clone, Debug)]
pub(crate) struct FileBody {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    /// Where the part ends in the file.
    pub(crate) end: u64,
    /// Counts the bytes that the connection has taken, all sendings together.
    pub(crate) sent: Arc<AtomicU64>,
}

impl FileBody {
    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.offset
    }

    /// Reads the file on a thread of its own, a few pieces ahead of the connection.
    pub(super) fn body(&self) -> reqwest::Body {
        let (sender, receiver) = mpsc::channel(4);
        let (path, offset, remaining) = (self.path.clone(), self.offset, self.remaining());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(path, offset, remaining, &sender) {
                // When nobody listens any more, nobody needs the error.
                let _ = sender.blocking_send(Err(error));
            }
        });
        let sent = self.sent.clone();
        reqwest::Body::wrap_stream(stream::unfold((receiver, sent), |(mut receiver, sent)| async move {
            let piece: io::Result<Bytes> = receiver.recv().await?;
            if let Ok(piece) = &piece {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            Some((piece, (receiver, sent)))
        }))
    }
}

fn read(path: PathBuf, offset: u64, mut remaining: u64, to: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    while remaining > 0 {
        let mut piece = Vec::with_capacity(remaining.min(PIECE) as usize);
        if (&mut file).take(remaining.min(PIECE)).read_to_end(&mut piece)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        remaining -= piece.len() as u64;
        if to.blocking_send(Ok(piece.into())).is_err() {
            break;
        }
    }
    Ok(())
}
