//! The bytes of an archive, or of one file, in pieces that several threads read at once.

use std::sync::Mutex;

use fs_err as fs;

use super::entry::{Content, Entry, changed, check_name};
use super::header::{BLOCK, Header};
use crate::error::Result;

/// What [`write()`](super::write()) would write, cut into pieces of one size.
pub(crate) struct Stream<'a> {
    entries: &'a [Entry],
    is_archive: bool,
    piece_size: u64,
    next: Mutex<Next>,
}

/// Where the next piece begins.
#[derive(Default)]
struct Next {
    offset: u64,
    entry: usize,
    /// How many bytes of the entry are in earlier pieces.
    within: u64,
}

/// A piece that is to be read: parts of entries, one after the other.
pub(crate) struct Piece {
    /// Its place in the stream.
    pub(crate) offset: u64,
    parts: Vec<Part>,
}

/// The bytes `from..to` of an entry, of which its header is the beginning; after the last entry
/// come the blocks that end an archive.
struct Part {
    entry: usize,
    from: u64,
    to: u64,
}

/// The file that a thread read last, so that a large one is not opened for each piece.
#[derive(Default)]
pub(crate) struct LastFile(Option<(usize, fs::File)>);

impl<'a> Stream<'a> {
    /// An archive of these entries.
    pub(crate) fn archive(entries: &'a [Entry], piece_size: usize) -> Result<Self> {
        entries.iter().try_for_each(|entry| check_name(&entry.path))?;
        Ok(Self {
            entries,
            is_archive: true,
            piece_size: piece_size as u64,
            next: Mutex::default(),
        })
    }

    /// The content of one file, bare.
    pub(crate) fn file(entry: &'a Entry, piece_size: usize) -> Self {
        let entries = std::slice::from_ref(entry);
        Self { entries, is_archive: false, piece_size: piece_size as u64, next: Mutex::default() }
    }

    /// Hands out the next piece with a buffer for it; none at the end, and when there is no buffer
    /// any more.
    pub(crate) fn next(
        &self,
        buffer: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<(Piece, Vec<u8>)> {
        let mut next = self.next.lock().expect("no holder panics");
        let n_entries = self.entries.len() + usize::from(self.is_archive);
        if next.entry >= n_entries {
            return None;
        }
        let buffer = buffer()?;
        let mut piece = Piece { offset: next.offset, parts: Vec::new() };
        let mut left = self.piece_size;
        while left > 0 && next.entry < n_entries {
            let size = self.size(next.entry);
            let taken = left.min(size - next.within);
            if taken > 0 {
                piece.parts.push(Part {
                    entry: next.entry,
                    from: next.within,
                    to: next.within + taken,
                });
            }
            left -= taken;
            next.within += taken;
            if next.within == size {
                (next.entry, next.within) = (next.entry + 1, 0);
            }
        }
        next.offset += self.piece_size - left;
        Some((piece, buffer))
    }

    /// Reads a piece into its buffer; returns how many of its bytes are content of files.
    pub(crate) fn read(
        &self,
        piece: &Piece,
        into: &mut Vec<u8>,
        last: &mut LastFile,
    ) -> Result<u64> {
        let mut n_content = 0;
        for part in &piece.parts {
            n_content += self.part(part, into, last)?;
        }
        Ok(n_content)
    }

    fn size(&self, index: usize) -> u64 {
        let Some(entry) = self.entries.get(index) else {
            return 2 * BLOCK as u64;
        };
        let content = entry.content.size();
        if self.is_archive {
            Header::of(entry).size() + content.next_multiple_of(BLOCK as u64)
        } else {
            content
        }
    }

    fn part(&self, part: &Part, into: &mut Vec<u8>, last: &mut LastFile) -> Result<u64> {
        let end = into.len() + (part.to - part.from) as usize;
        let Some(entry) = self.entries.get(part.entry) else {
            into.resize(end, 0);
            return Ok(0);
        };
        let mut header_size = 0;
        if self.is_archive {
            header_size = Header::of(entry).size();
            if part.from < header_size {
                let header = Header::of(entry).to_blocks();
                into.extend(&header[part.from as usize..part.to.min(header_size) as usize]);
            }
        }
        let size = entry.content.size();
        let from = part.from.max(header_size) - header_size;
        let to = (part.to.max(header_size) - header_size).min(size);
        let n_content = to.saturating_sub(from);
        if n_content > 0 || (size == 0 && entry.content != Content::Folder) {
            content(part.entry, entry, from, n_content, into, last)?;
        }
        into.resize(end, 0);
        Ok(n_content)
    }
}

/// Adds `n` bytes of a file from some byte on, and then holds the file to its plan.
fn content(
    index: usize,
    entry: &Entry,
    from: u64,
    n: u64,
    into: &mut Vec<u8>,
    LastFile(last): &mut LastFile,
) -> Result<()> {
    let (from_byte, n_bytes) = (from as usize, n as usize);
    let planned = match &entry.content {
        Content::Folder => return Ok(()),
        Content::Bytes { bytes, .. } => {
            into.extend(&bytes[from_byte..from_byte + n_bytes]);
            return Ok(());
        }
        Content::File(planned) => planned,
    };
    let is_open = last.as_ref().is_some_and(|(opened, _)| *opened == index);
    if !is_open {
        *last = Some((index, entry.open()?));
    }
    let (_, file) = last.as_ref().expect("opened above");
    let (start, end) = (into.len(), into.len() + n_bytes);
    into.reserve(n_bytes);
    while into.len() < end {
        let at = from + (into.len() - start) as u64;
        // A buffer may have room for more than this file; what is read beyond its end shows that it
        // has grown.
        match rustix::io::pread(file.file(), rustix::buffer::spare_capacity(into), at) {
            Ok(0) => return Err(changed(file.path())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(named(error.into(), file)),
        }
    }
    into.truncate(end);
    planned.check(file)
}

fn named(error: std::io::Error, file: &fs::File) -> crate::Error {
    std::io::Error::new(error.kind(), format!("cannot read {}: {error}", file.path().display()))
        .into()
}
