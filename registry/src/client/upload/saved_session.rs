//! Upload sessions that outlive the process: where a push that was killed goes on.

use std::io::{Read, Seek, SeekFrom, Write};

use fs_err as fs;
use url::Url;

use crate::client::Repository;
use crate::client::http::location;
use crate::content::{self, Digest};
use crate::{Layout, Result};

/// The longest address that is taken from a file, in bytes.
const MAX_ADDRESS: u64 = 16 * 1024;

/// Where the session of one blob in one repository is written down, while no other process brings
/// the same. The address may open the registry for whoever knows it, so that nobody else may read
/// the file.
#[derive(Debug)]
pub(super) struct SavedSession {
    file: fs::File,
    base: Url,
}

impl SavedSession {
    /// Opens the note for a blob that goes to a repository; `None` while somebody else has it.
    pub(super) fn open(
        layout: &Layout,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Self>> {
        let base = repository.registry.base.clone();
        let name = content::digest(format!("{base}{}@{digest}", repository.name).as_bytes());
        let path = layout.root().join("ingest").join(format!("{}.upload", name.digest()));
        let mut options = fs::OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false);
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file, base })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(source)) => Err(source.into()),
        }
    }

    /// The session that the last attempt had. It is resolved as the registry's answer was: nothing
    /// weaker than the registry itself.
    pub(super) fn session(&mut self) -> Option<Url> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        (&mut self.file).take(MAX_ADDRESS).read_to_string(&mut text).ok()?;
        // A line that was not written to its end is none.
        location::resolve(text.strip_suffix('\n').filter(|line| !line.is_empty())?, &self.base)
    }

    /// Writes down where the upload goes on.
    pub(super) fn note(&mut self, session: &Url) -> Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(self.file.write_all(format!("{session}\n").as_bytes())?)
    }

    /// Forgets it: the upload has ended, well or not.
    pub(super) fn forget(self) -> Result<()> {
        match fs::remove_file(self.file.path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => Ok(removed?),
        }
    }
}
