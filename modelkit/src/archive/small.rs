//! Small files, written by several threads: making one costs more than filling it.

use std::io::{BufRead, Read, Write};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::entry::Kind;
use super::folder::Folder;
use super::read::{Archive, Found};
use crate::error::Refused;

/// Files up to this size, in bytes, are small.
pub(super) const SMALL: u64 = 64 * 1024;
/// A batch is handed on when its files have this many bytes together …
const BATCH_BYTES: usize = 256 * 1024;
/// … or when there are this many of them.
const BATCH_FILES: usize = 256;

/// Collects small files, and has them written batch by batch.
pub(super) struct SmallFiles {
    batch: Batch,
    n_threads: usize,
    writers: Option<Writers>,
}

/// Files that are read and wait to be written.
#[derive(Default)]
struct Batch {
    files: Vec<Waiting>,
    content: Vec<u8>,
}

struct Waiting {
    folder: Arc<Folder>,
    path: String,
    executable: bool,
    content: Range<usize>,
}

struct Writers {
    batches: SyncSender<Batch>,
    threads: Vec<JoinHandle<Result<(), Refused>>>,
}

impl SmallFiles {
    /// With one thread, whoever reads also writes.
    pub(super) fn new(n_threads: usize) -> Self {
        Self { batch: Batch::default(), n_threads, writers: None }
    }

    /// Reads a file; writes it, or has it written some time before [`finish`](Self::finish)
    /// returns.
    pub(super) fn add<R: BufRead>(
        &mut self,
        archive: &mut Archive<R>,
        found: &Found,
        folder: &Arc<Folder>,
    ) -> Result<(), Refused> {
        let start = self.batch.content.len();
        let n_read = archive.take(found.size).read_to_end(&mut self.batch.content)?;
        if n_read as u64 != found.size {
            return Err(Refused::Malformed("it ends within an entry"));
        }
        let content = start..start + n_read;
        let (folder, path) = (Arc::clone(folder), found.path.clone());
        let executable = found.kind == Kind::Executable;
        self.batch.files.push(Waiting { folder, path, executable, content });
        let is_full =
            self.batch.content.len() >= BATCH_BYTES || self.batch.files.len() >= BATCH_FILES;
        if is_full { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> Result<(), Refused> {
        let batch = std::mem::take(&mut self.batch);
        if self.n_threads < 2 {
            return batch.write();
        }
        if self.writers.is_none() {
            self.writers = Some(Writers::start(self.n_threads)?);
        }
        let writers = self.writers.as_ref().expect("started above");
        match writers.batches.send(batch) {
            Ok(()) => Ok(()),
            // All writers have ended, so one of them has an error to tell.
            Err(_) => self.join(),
        }
    }

    /// Waits until all files are written.
    pub(super) fn finish(mut self) -> Result<(), Refused> {
        let last = if self.batch.files.is_empty() { Ok(()) } else { self.hand_on() };
        last.and(self.join())
    }

    fn join(&mut self) -> Result<(), Refused> {
        let Some(Writers { batches, threads }) = self.writers.take() else { return Ok(()) };
        drop(batches);
        let mut outcome = Ok(());
        for thread in threads {
            let written = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(written);
        }
        outcome
    }
}

impl Writers {
    fn start(n_threads: usize) -> Result<Self, Refused> {
        let (batches, waiting) = sync_channel(n_threads);
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |_| {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name("write".into()).spawn(move || write_all(&waiting))
        };
        let threads = (0..n_threads).map(start).collect::<Result<_, _>>()?;
        Ok(Self { batches, threads })
    }
}

/// A writer: after an error it takes no more, and when all have stopped, the reader notices.
fn write_all(waiting: &Mutex<Receiver<Batch>>) -> Result<(), Refused> {
    loop {
        let batch = waiting.lock().expect("no holder panics").recv();
        let Ok(batch) = batch else { return Ok(()) };
        batch.write()?;
    }
}

impl Batch {
    fn write(&self) -> Result<(), Refused> {
        for Waiting { folder, path, executable, content } in &self.files {
            let mut file = folder.create_entry(path, *executable)?;
            file.write_all(&self.content[content.clone()])?;
        }
        Ok(())
    }
}
