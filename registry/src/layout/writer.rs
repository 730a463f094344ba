//! Content on its way in.

use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;
use tempfile::NamedTempFile;

use super::{Hold, Layout, check_digest};
use crate::content::{Descriptor, Digest, Hasher};
use crate::{ContentError, Result};

/// A blob that is being written and hashed; nothing of it is visible before
/// [`commit`](Self::commit), or after a drop.
#[derive(Debug)]
pub struct BlobWriter {
    layout: Layout,
    file: NamedTempFile<fs::File>,
    hasher: Hasher,
    size: u64,
    _hold: Hold,
}

impl BlobWriter {
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let hold = layout.hold()?;
        let file = temporary_file(&layout.root.join("ingest"))?;
        Ok(Self { layout: layout.clone(), file, hasher: Hasher::default(), size: 0, _hold: hold })
    }

    /// A second handle of the file, for writers that say what they wrote by
    /// [`replace`](Self::replace).
    pub(super) fn second_handle(&self) -> Result<fs::File> {
        Ok(self.file.as_file().try_clone()?)
    }

    /// Takes the place of what was hashed so far: the hash and the size of what lies in the file
    /// now.
    pub(super) fn replace(mut self, hasher: Hasher, size: u64) -> Result<Self> {
        let found = self.file.as_file().metadata()?.len();
        if found != size {
            let what = "a blob that was written in pieces".to_owned();
            return Err(ContentError::WrongSize { what, expected: size, found }.into());
        }
        (self.hasher, self.size) = (hasher, size);
        Ok(self)
    }

    /// The number of bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the blob visible under its digest. If it is not what was expected, that is an error,
    /// and nothing is visible.
    ///
    /// Without an expectation the digest is a SHA-256; with one it is of the expected digest's
    /// algorithm.
    pub fn commit(self, expected: Option<&Descriptor>) -> Result<(Digest, u64)> {
        if let Some(expected) = expected.filter(|expected| expected.size() != self.size) {
            let what = format!("blob {}", expected.digest());
            return Err(ContentError::WrongSize {
                what,
                expected: expected.size(),
                found: self.size,
            }
            .into());
        }
        let mut hasher = self.hasher;
        if let Some(expected) =
            expected.filter(|expected| *expected.digest().algorithm() != hasher.algorithm())
        {
            hasher = Hasher::new(expected.digest().algorithm())?;
            hash_file(self.file.path(), &mut hasher)?;
        }
        let digest = hasher.finish();
        let path = self.layout.blob_path(&digest)?;
        if let Some(expected) = expected {
            check_digest(expected.digest(), digest.clone(), &path)?;
        }
        publish(self.file, &path, Durable::No)?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Hashes a file from its start.
pub(crate) fn hash_file(path: &Path, hasher: &mut Hasher) -> Result<()> {
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Makes a temporary file with the modes of an ordinary one: the process's umask decides who may
/// read the layout.
pub(super) fn temporary_file(dir: &Path) -> Result<NamedTempFile<fs::File>> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let (file, path) = builder.tempfile_in(dir)?.into_parts();
    let file = fs::File::from_parts(file, path.to_path_buf()); // so that errors have the path
    Ok(NamedTempFile::from_parts(file, path))
}

/// Whether a file must be on the disk before it gets its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// It must: what others rely on is never half there, not even after the power failed.
    Yes,
    /// The system writes it when it likes. After a power failure a blob may be short or missing;
    /// its readers notice that by its size and its digest. Waiting for the disk would make packing
    /// and pulling as slow as the disk.
    No,
}

/// Gives a finished file its name.
pub(super) fn publish(file: NamedTempFile<fs::File>, path: &Path, durable: Durable) -> Result<()> {
    if durable == Durable::Yes {
        file.as_file().sync_data()?;
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
