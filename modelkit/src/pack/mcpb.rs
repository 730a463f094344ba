//! MCP bundles: ZIP archives with a `manifest.json` at their root.
//! Source: PKWARE's APPNOTE.TXT, sections 4.3.12 (central directory) and 4.3.16 (its end).

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err as fs;

use crate::error::{Error, Result};

const END_SIZE: u64 = 22;
const MAX_COMMENT: u64 = u16::MAX as u64;
/// Directories larger than this are no bundle's.
const MAX_DIRECTORY: u64 = 64 << 20;

/// Checks that a file is a bundle, by the names in its central directory.
pub(super) fn check(path: &Path) -> Result<()> {
    let mut file = fs::File::open(path)?;
    let directory = directory(&mut file)?;
    let problem = match directory.as_deref().and_then(names) {
        None => "it is not a ZIP archive",
        Some(names) if names.contains(&b"manifest.json".as_slice()) => return Ok(()),
        Some(_) => "it has no manifest.json at its root",
    };
    Err(Error::Bundle { path: path.to_owned(), problem })
}

/// The bytes of the central directory; none where there is no ZIP archive.
fn directory(file: &mut fs::File) -> Result<Option<Vec<u8>>> {
    let size = file.metadata()?.len();
    let tail_size = size.min(END_SIZE + MAX_COMMENT);
    file.seek(SeekFrom::Start(size - tail_size))?;
    let mut tail = Vec::new();
    file.by_ref().take(tail_size).read_to_end(&mut tail)?;
    let is_end = |at: &usize| {
        let end = &tail[*at..];
        end.starts_with(b"PK\x05\x06")
            && at + END_SIZE as usize + usize::from(u16_at(end, 20)) == tail.len()
    };
    let starts = 0..(tail.len() + 1).saturating_sub(END_SIZE as usize);
    let Some(at) = starts.rev().find(is_end) else { return Ok(None) };
    let (length, start) = (u64::from(u32_at(&tail[at..], 12)), u64::from(u32_at(&tail[at..], 16)));
    if length > MAX_DIRECTORY || start.saturating_add(length) > size {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut directory = Vec::new();
    file.by_ref().take(length).read_to_end(&mut directory)?;
    Ok(Some(directory))
}

/// The names in a central directory; none where it is damaged.
fn names(mut directory: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    while !directory.is_empty() {
        let fixed = directory.get(..46).filter(|fixed| fixed.starts_with(b"PK\x01\x02"))?;
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
        names.push(directory.get(46..46 + name)?);
        directory = directory.get(46 + name + extra + comment..)?;
    }
    Some(names)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
