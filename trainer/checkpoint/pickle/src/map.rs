//! A file mapped into memory.
#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe: whoever shortens it meanwhile ends the process"
)]

use std::io;

use fs_err::File;
use memmap2::Mmap;

/// Maps a whole file for reading. Pages come from disk when they are touched, and can be taken back
/// at any time.
///
/// Model folders are written once and replaced by rename, never in place; an unpacked ModelKit is
/// so by construction.
pub fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only; that the file is not shortened is the condition stated above.
    unsafe { Mmap::map(file.file()) }
}

/// Gives the pages that were touched back: they no longer count as this process' memory, and come
/// again from the page cache when asked for.
pub fn give_back(map: &Mmap) {
    #[cfg(unix)]
    {
        // SAFETY: the map is a read-only one of a file, so that pages that are dropped are read
        // again with the same bytes. An error leaves the pages where they are, which is no harm.
        let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }
    #[cfg(not(unix))]
    let _ = map;
}
