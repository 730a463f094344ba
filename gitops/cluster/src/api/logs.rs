//! What a run of a container has written: all of it, its last lines, or on and on.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;

use super::query::Query;
use crate::clock::Moment;
use crate::http::Sink;
use crate::logs::Log;
use crate::pod::Pod;

/// How often a log is looked at that somebody follows.
const ROUND: Duration = Duration::from_millis(200);
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// A log that somebody reads.
pub(super) struct Reading {
    file: fs::File,
    log: Log,
    pod: Arc<Pod>,
    follow: bool,
    /// How many bytes may still be said.
    left: u64,
}

impl Reading {
    /// Opens it, at the first line that is asked for.
    pub(super) fn new(log: Log, pod: Arc<Pod>, query: &Query) -> io::Result<Self> {
        let mut file = fs::File::open(&log.file)?;
        let end = match log.to {
            Some(to) => to,
            None => file.metadata()?.len(),
        };
        let begin = match query.tail {
            Some(tail) => last_lines(&mut file, log.from, end, tail)?,
            None => log.from,
        };
        file.seek(SeekFrom::Start(begin))?;
        Ok(Self { file, log, pod, follow: query.follow, left: query.limit.unwrap_or(u64::MAX) })
    }

    /// Writes it; to whoever follows until the run has ended or nobody listens.
    pub(super) fn write(mut self, sink: &Sink) {
        loop {
            // Asked before it is read, so that nothing of a run that has ended is left out.
            let to = self.log.ended(&self.pod);
            let is_over = !self.follow || to.is_some() || self.pod.look(|state| state.finished);
            if !self.pass_on(to.unwrap_or(u64::MAX), sink) {
                return;
            }
            if is_over || self.left == 0 || !sink.is_open() {
                return;
            }
            self.pod.wait(Some(Moment::now() + ROUND), |state| {
                state.finished || state.containers[self.log.container].pid != Some(self.log.pid)
            });
        }
    }

    /// Writes what is there up to an offset; whether it could.
    fn pass_on(&mut self, to: u64, sink: &Sink) -> bool {
        let Ok(mut at) = self.file.stream_position() else { return false };
        loop {
            let rest = self.left.min(to.saturating_sub(at));
            let mut piece = vec![0; usize::try_from(rest).map_or(PIECE, |rest| rest.min(PIECE))];
            let Ok(n) = self.file.read(&mut piece) else { return false };
            if n == 0 {
                return true;
            }
            piece.truncate(n);
            self.left -= n as u64;
            at += n as u64;
            if !sink.send(piece) {
                return false;
            }
        }
    }
}

/// Where the last `n_lines` begin of what lies between two offsets.
fn last_lines(file: &mut fs::File, from: u64, to: u64, n_lines: usize) -> io::Result<u64> {
    let mut end = to;
    // The end of the last line is no beginning of another one.
    let mut n_seen = 0;
    let mut is_last = true;
    while end > from {
        let start = end.saturating_sub(PIECE as u64).max(from);
        let mut piece = vec![0; usize::try_from(end - start).unwrap_or(PIECE)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece)?;
        for (n, byte) in piece.iter().enumerate().rev() {
            if *byte == b'\n' && !is_last {
                n_seen += 1;
            }
            if n_seen == n_lines {
                return Ok(start + n as u64 + 1);
            }
            is_last = false;
        }
        end = start;
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_those_of_one_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "of before\none\ntwo\nof after\n").unwrap();
        let mut file = fs::File::open(&path).unwrap();
        let mut at = |n_lines| last_lines(&mut file, 10, 18, n_lines).unwrap();
        assert_eq!([at(0), at(1), at(2), at(9)], [18, 14, 10, 10]);
    }
}
