//! Extracts archives without trusting them.

use std::io::{self, Read, Write};

use super::beneath::Folder;
use super::read::{Archive, Found};
use crate::error::Refused;

/// Bytes written to a file at once.
const CHUNK: usize = 256 * 1024;

/// How much may come out of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a compressed layer may grow to, as a multiple of its size …
    pub max_ratio: u64,
    /// … where it grows beyond this many bytes; every layer may grow that far.
    pub free_bytes: u64,
    /// Entries that one archive may have.
    pub max_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_ratio: 200, free_bytes: 256 << 20, max_entries: 10_000_000 }
    }
}

/// What came out of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extracted {
    /// Number of files.
    pub n_files: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
}

/// Extracts a tar archive beneath a folder, reading the stream to its end.
///
/// Only files and folders come out, with mode 0755 or 0644 by their x bit (less the umask); every other kind of entry, every name
/// that could lead elsewhere, and every file that is there already is refused.
/// An archive that is refused in the middle has left entries behind: extract into a folder of your own, verify the digest, and move
/// what is in it into place, as [`unpack`](crate::unpack()) does.
/// `wrote` hears the number of content bytes as they are written; its error stops the extraction.
pub fn extract(
    stream: &mut dyn Read,
    into: &Folder,
    limits: &Limits,
    wrote: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Extracted, Refused> {
    let mut archive = Archive::new(stream);
    let mut extracted = Extracted::default();
    let mut parent: Option<(String, Folder)> = None;
    let mut chunk = vec![0; CHUNK];
    let mut n_entries = 0;
    while let Some(found) = archive.next()? {
        n_entries += 1;
        if n_entries > limits.max_entries {
            return Err(Refused::Limit { what: "the number of entries", limit: limits.max_entries });
        }
        if found.is_folder {
            into.create_folders(&found.path)?;
            continue;
        }
        let (folder, name) = found.path.rsplit_once('/').unwrap_or((".", &found.path));
        if parent.as_ref().is_none_or(|(path, _)| path != folder) {
            parent = Some((folder.to_owned(), into.create_folders(folder)?));
        }
        let (_, folder) = parent.as_ref().expect("set above");
        file(&mut archive, &found, folder, name, &mut chunk, wrote)?;
        extracted.n_files += 1;
        extracted.bytes += found.size;
    }
    Ok(extracted)
}

fn file(
    content: &mut impl Read,
    found: &Found,
    folder: &Folder,
    name: &str,
    chunk: &mut [u8],
    wrote: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<(), Refused> {
    let mut file = match folder.create_file(name, found.is_executable) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let name = found.path.escape_debug().to_string();
            return Err(Refused::Entry { name, problem: "is there twice" });
        }
        made => made?,
    };
    let mut left = found.size;
    while left > 0 {
        let n_read = match content.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if n_read == 0 {
            return Err(Refused::Malformed("it ends within an entry"));
        }
        file.write_all(&chunk[..n_read])?;
        left -= n_read as u64;
        wrote(n_read as u64)?;
    }
    Ok(())
}
