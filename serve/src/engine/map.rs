//! A file mapped into memory.
#![expect(unsafe_code, reason = "mapping a file is unsafe: whoever shortens it meanwhile ends the process")]

use fs_err::File;
use memmap2::Mmap;

use crate::error::Result;

/// Maps a whole file for reading. Pages come from disk when they are touched, and can be taken back at any time.
///
/// Model folders are written once and replaced by rename, never in place; an unpacked ModelKit is so by construction.
pub(super) fn map(file: &File) -> Result<Mmap> {
    // SAFETY: the map is read-only; that the file is not shortened is the condition stated above.
    Ok(unsafe { Mmap::map(file.file()) }?)
}
