//! What a hub calls the content of a file, and whether content is that.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use fs_err as fs;

use super::git_blob::GitBlob;
use super::{HubFile, Snapshot};
use crate::content::Hasher;
use crate::{Error, HubError, Result};

impl HubFile {
    /// Says whether the hub has a name for the content, by which it can be verified: an SHA-256,
    /// or Git's own. Of a file without one only the size can be.
    pub fn is_named(&self) -> bool {
        self.name().is_some()
    }

    /// The name of the content.
    pub(super) fn name(&self) -> Option<&str> {
        let is_git_blob = self.oid.len() == 40 && super::snapshot::is_hex(&self.oid);
        self.sha256.as_deref().or_else(|| is_git_blob.then_some(self.oid.as_str()))
    }

    /// Says whether a file on disk is this one, by its size and by what the hub calls its content.
    pub fn is_at(&self, path: &Path) -> Result<bool> {
        if !fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == self.size) {
            return Ok(false);
        }
        if !self.is_named() {
            return Ok(true);
        }
        let mut content = Content::of(self);
        content.read(path, 0..self.size)?;
        Ok(content.mistake().is_none())
    }
}

/// The content of a file of a hub, as it is hashed.
pub(super) struct Content<'a> {
    file: &'a HubFile,
    state: State,
}

enum State {
    Sha256(Hasher),
    GitBlob(GitBlob),
    /// There is nothing to compare with.
    Nameless,
}

impl<'a> Content<'a> {
    pub(super) fn of(file: &'a HubFile) -> Self {
        let state = match (&file.sha256, file.is_named()) {
            (Some(_), _) => State::Sha256(Hasher::default()),
            (None, true) => State::GitBlob(GitBlob::new(file.size)),
            (None, false) => State::Nameless,
        };
        Self { file, state }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(hasher) => hasher.update(bytes),
            State::GitBlob(blob) => blob.update(bytes),
            State::Nameless => {}
        }
    }

    /// Adds a span of a file on disk.
    pub(super) fn read(&mut self, path: &Path, span: Range<u64>) -> Result<()> {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(span.start))?;
        let (mut left, mut buffer) = (span.end - span.start, vec![0; 256 * 1024]);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..most])?;
            self.update(&buffer[..most]);
            left -= most as u64;
        }
        Ok(())
    }

    /// What is wrong with all that was added, if anything.
    fn mistake(self) -> Option<String> {
        let found = match self.state {
            State::Sha256(hasher) => hasher.finish().digest().to_owned(),
            State::GitBlob(blob) => blob.finish(),
            State::Nameless => return None,
        };
        let expected = self.file.name().filter(|expected| *expected != found)?;
        let what = if self.file.sha256.is_some() { "sha256" } else { "Git blob" };
        Some(format!("its {what} should be {expected} and is {found}"))
    }

    /// The error for content that is not the file's, if it is not.
    pub(super) fn verify(self, snapshot: &Snapshot) -> Option<Error> {
        let file = self.file;
        self.mistake().map(|reason| wrong_file(snapshot, file, reason))
    }
}

/// The error for a file that is not what the hub lists.
pub(super) fn wrong_file(snapshot: &Snapshot, file: &HubFile, reason: String) -> Error {
    HubError::WrongFile { repo: snapshot.repo.to_string(), path: file.path.clone(), reason }.into()
}
