//! A part of a file as the body of a request.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fs_err as fs;
use futures_util::{TryStreamExt as _, stream};

use crate::file_stream;

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

    /// Reads the file piece by piece, as the connection takes them.
    pub(super) fn body(&self) -> reqwest::Body {
        let (path, span, sent) = (self.path.clone(), self.offset..self.end, self.sent.clone());
        let opened = stream::once(async move { fs::File::open(path) });
        let pieces =
            opened.map_ok(move |file| file_stream::stream(file, span.clone())).try_flatten();
        reqwest::Body::wrap_stream(pieces.inspect_ok(move |piece: &Bytes| {
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }))
    }
}
