//! Writes archives that depend on nothing but names, contents and x bits.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;

use super::entry::{Content, Entry, check_name};
use super::header::{BLOCK, Header};
use crate::error::{Error, Result};

/// Bytes read from a file at once.
const CHUNK: usize = 256 * 1024;

/// Size in bytes of the archive that [`write()`] makes of these entries.
pub fn size<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> u64 {
    let sizes = entries.into_iter().map(|entry| {
        let content = entry.content.size().next_multiple_of(BLOCK as u64);
        header(entry).to_blocks().len() as u64 + content
    });
    sizes.sum::<u64>() + 2 * BLOCK as u64
}

/// Writes entries, in the order given, as a tar archive.
///
/// The bytes are those of `kit pack` for the same files under umask 022: owner 1000:0, time 0, mode 0755 for folders and executables
/// and 0644 for the rest, folders without a trailing slash, USTAR where it fits and PAX where not.
/// `wrote` hears the number of content bytes as they are written; its error stops the writing.
pub fn write<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    to: &mut dyn Write,
    wrote: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<()> {
    for entry in entries {
        check_name(&entry.path)?;
        to.write_all(&header(entry).to_blocks())?;
        match &entry.content {
            Content::Folder => {}
            Content::Bytes { bytes, .. } => to.write_all(bytes)?,
            Content::File { source, size, modified, .. } => copy_planned(source, *size, *modified, to, wrote)?,
        }
        let size = entry.content.size();
        let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        to.write_all(&[0; BLOCK][..padding])?;
    }
    to.write_all(&[0; 2 * BLOCK])?;
    Ok(())
}

fn header(entry: &Entry) -> Header<'_> {
    Header {
        path: &entry.path,
        is_folder: entry.content == Content::Folder,
        is_executable: entry.content.is_executable(),
        size: entry.content.size(),
    }
}

/// Copies exactly the file that was planned: its size and time are looked at before and after.
pub(crate) fn copy_planned(
    source: &Path,
    size: u64,
    modified: Option<SystemTime>,
    to: &mut dyn Write,
    wrote: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<()> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let mut file = fs::OpenOptions::new().read(true).custom_flags(no_follow).open(source)?;
    let is_as_planned = |file: &fs::File| -> io::Result<bool> {
        let metadata = file.metadata()?;
        Ok(metadata.is_file() && metadata.len() == size && metadata.modified().ok() == modified)
    };
    let changed = || Error::Changed { path: source.to_owned() };
    if !is_as_planned(&file)? {
        return Err(changed());
    }
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
    let mut left = size;
    while left > 0 {
        let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n_read = file.read(&mut chunk[..most])?;
        if n_read == 0 {
            return Err(changed());
        }
        to.write_all(&chunk[..n_read])?;
        left -= n_read as u64;
        wrote(n_read as u64)?;
    }
    if is_as_planned(&file)? { Ok(()) } else { Err(changed()) }
}
