//! What a container has written: all of it, its last lines, or on and on.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;

use super::query::Query;
use crate::clock::Moment;
use crate::http::Sink;
use crate::pod::Pod;

/// How often a log is looked at that somebody follows.
const ROUND: Duration = Duration::from_millis(200);
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// A log that somebody reads.
pub(super) struct Log {
    pub(super) file: PathBuf,
    pub(super) pod: Arc<Pod>,
    pub(super) follow: bool,
    /// Only so many of the last lines, and not more than so many bytes.
    pub(super) tail: Option<usize>,
    pub(super) limit: Option<usize>,
}

impl Log {
    pub(super) fn new(file: PathBuf, pod: Arc<Pod>, query: &Query) -> Self {
        Self { file, pod, follow: query.follow, tail: query.tail, limit: query.limit }
    }

    /// Writes it; to whoever follows until the pod is gone or nobody listens.
    pub(super) fn write(&self, sink: &Sink) {
        // A container that has not begun has written nothing yet.
        let mut file = None;
        let mut left = self.limit.unwrap_or(usize::MAX);
        loop {
            let is_over = !self.follow || self.pod.look(|state| state.finished);
            if file.is_none() {
                file = fs::File::open(&self.file).ok().and_then(|file| self.begin(file).ok());
            }
            if let Some(file) = &mut file {
                loop {
                    let mut piece = vec![0; PIECE.min(left)];
                    let Ok(n) = file.read(&mut piece) else { return };
                    if n == 0 {
                        break;
                    }
                    piece.truncate(n);
                    left -= n;
                    if !sink.send(piece) {
                        return;
                    }
                }
            }
            if is_over || left == 0 || !sink.is_open() {
                return;
            }
            self.pod.wait(Some(Moment::now() + ROUND), |state| state.finished);
        }
    }

    /// The file, at the first line that is asked for.
    fn begin(&self, mut file: fs::File) -> io::Result<fs::File> {
        let Some(tail) = self.tail else { return Ok(file) };
        let mut end = file.seek(SeekFrom::End(0))?;
        // The end of the last line is no beginning of another one.
        let mut n_lines = 0;
        let mut is_last = true;
        while end > 0 {
            let start = end.saturating_sub(PIECE as u64);
            let mut piece = vec![0; usize::try_from(end - start).unwrap_or(PIECE)];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut piece)?;
            for (n, byte) in piece.iter().enumerate().rev() {
                if *byte == b'\n' && !is_last {
                    n_lines += 1;
                }
                if n_lines == tail {
                    file.seek(SeekFrom::Start(start + n as u64 + 1))?;
                    return Ok(file);
                }
                is_last = false;
            }
            end = start;
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}
