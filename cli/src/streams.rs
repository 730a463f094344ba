//! The one way to stdout and stderr.
//!
//! That nobody reads any more is no reason to break off: whatever is at work goes on, and ends with
//! the exit code that it would have had.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::shown;

/// Writes a line to stderr.
pub(crate) fn say(line: &str) {
    // There is no other place in which to say that it cannot be said.
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Writes to stderr what its reader answers in the same line.
pub(crate) fn ask(question: &str) {
    let _ = io::stderr().lock().write_all(question.as_bytes());
}

/// Writes a line to stdout. Returns whether somebody reads it.
pub(crate) fn answer(line: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Where log lines go. Each is written as a whole; what others wrote in it is only shown.
#[derive(Clone, Copy)]
pub(crate) struct Log {
    /// Whether the lines are JSON documents.
    pub(crate) is_json: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        match (text.trim_end_matches('\n'), self.is_json) {
            (line, true) => say(&shown::json(line)),
            (line, false) => say(&shown::message(line)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
