//! Writes archives that depend on nothing but names, contents and x bits.

use std::io::{Read, Write};
use std::ops::ControlFlow;

use super::entry::{Content, Entry, FileOnDisk, changed, check_name};
use super::header::{BLOCK, Header};
use crate::error::{Result, go_on};

/// Bytes read from a file at once.
const CHUNK: usize = 256 * 1024;

/// Size in bytes of the archive that [`write()`] makes of these entries.
pub fn size<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> u64 {
    let sizes = entries.into_iter().map(|entry| {
        let content = entry.content.size().next_multiple_of(BLOCK as u64);
        Header::of(entry).size() + content
    });
    sizes.sum::<u64>() + 2 * BLOCK as u64
}

/// What [`write()`] writes before and after the content of the only file among these entries;
/// `None` where there are more, or it is not the last. So whoever gets a large file from elsewhere
/// can make its layer in place.
pub fn around(entries: &[Entry]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let is_folder = |entry: &Entry| entry.content == Content::Folder;
    match entries.split_last() {
        Some((file, folders)) if !is_folder(file) && folders.iter().all(is_folder) => {
            entries.iter().try_for_each(|entry| check_name(&entry.path))?;
            let before = entries.iter().flat_map(|entry| Header::of(entry).to_blocks()).collect();
            let size = file.content.size();
            let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
            Ok(Some((before, vec![0; padding + 2 * BLOCK])))
        }
        _ => Ok(None),
    }
}

/// Writes entries, in the order given, as a tar archive.
///
/// The bytes are those of `kit pack` for the same files under umask 022: owner 1000:0, time 0, mode
/// 0755 for folders and executables and 0644 for the rest, folders without a trailing slash, USTAR
/// where it fits and PAX where not. `on` hears the number of content bytes as they are written;
/// `Break` stops the writing.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use modelkit::archive::{Content, Entry, size, write};
///
/// let content = Content::Bytes { bytes: b"hello".to_vec(), executable: false };
/// let entries = [Entry { path: "greeting.txt".to_owned(), content }];
/// let mut archive = Vec::new();
/// write(&entries, &mut archive, &|_| ControlFlow::Continue(()))?;
/// assert_eq!(archive.len() as u64, size(&entries));
/// # Ok::<(), modelkit::Error>(())
/// ```
pub fn write<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    to: &mut dyn Write,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<()> {
    for entry in entries {
        check_name(&entry.path)?;
        to.write_all(&Header::of(entry).to_blocks())?;
        write_content(entry, to, on)?;
        let size = entry.content.size();
        let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        to.write_all(&[0; BLOCK][..padding])?;
    }
    to.write_all(&[0; 2 * BLOCK])?;
    Ok(())
}

/// Writes the bytes of a file, without a header.
pub(crate) fn write_content(
    entry: &Entry,
    to: &mut dyn Write,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<()> {
    match &entry.content {
        Content::Folder => Ok(()),
        Content::Bytes { bytes, .. } => Ok(to.write_all(bytes)?),
        Content::File(file) => copy_planned(entry, file, to, on),
    }
}

/// Copies exactly the file that was planned: its size and time are looked at after it was read.
fn copy_planned(
    entry: &Entry,
    planned: &FileOnDisk,
    to: &mut dyn Write,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<()> {
    let mut file = entry.open()?;
    let mut left = planned.stamp.size;
    let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
    while left > 0 {
        let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n_read = file.read(&mut chunk[..most])?;
        if n_read == 0 {
            return Err(changed(file.path()));
        }
        to.write_all(&chunk[..n_read])?;
        left -= n_read as u64;
        go_on(on(n_read as u64))?;
    }
    planned.check(&file)
}
