//! A blob that arrives in pieces, in any order, and in several runs of the process.
//!
//! ```text
//! ingest/<alg>-<hex>.part    the content, as long as the blob, with holes
//!        <alg>-<hex>.map     which blocks are there: a head, and a byte for each block
//! ```
//!
//! A block is marked after it was written, so that a process that is killed leaves no mark too many. When the machine itself stops, a
//! mark can be on the disk before its block is: the digest of the whole finds that out, and the blob is then fetched anew.
//! Whoever writes holds a lock on the map, which is taken away with the content's rename: nobody writes into a finished blob.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{Hold, Layout, check_digest};
use crate::{
    Result,
    content::{self, Descriptor, Digest},
};

/// The size of a block in bytes: what a killed process may have to fetch again, for each of its connections.
pub(crate) const BLOCK: u64 = 1024 * 1024;
const MAGIC: &[u8; 8] = b"kitpart1";
/// The magic number, and the size of the blob.
const HEAD: u64 = 16;

/// A blob of which some blocks are here.
#[derive(Debug)]
pub(crate) struct Partial {
    layout: Layout,
    digest: Digest,
    size: u64,
    file: fs::File,
    map: fs::File,
    /// How many bytes of each block are here.
    filled: Vec<u64>,
    _hold: Hold,
}

impl Partial {
    /// Takes up what is here of a blob, or begins it; `None` while somebody else is at it.
    pub(crate) fn open(layout: &Layout, descriptor: &Descriptor) -> Result<Option<Self>> {
        content::check_algorithm(descriptor.digest())?;
        let hold = layout.hold()?;
        let (path, map_path) = paths(layout, descriptor.digest());
        let Some(mut map) = lock(&map_path)? else { return Ok(None) };
        let size = descriptor.size();
        let known = read_map(&mut map, size)?.filter(|_| path.metadata().is_ok_and(|it| it.len() == size));
        let filled = known.clone().unwrap_or_else(|| vec![0; n_blocks(size)]);
        let file = fs::OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
        let mut partial =
            Self { layout: layout.clone(), digest: descriptor.digest().clone(), size, file, map, filled, _hold: hold };
        if known.is_none() {
            partial.reset()?;
        }
        Ok(Some(partial))
    }

    /// Where the content is on its way.
    pub(crate) fn path(&self) -> PathBuf {
        paths(&self.layout, &self.digest).0
    }

    /// Forgets everything that is here.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.filled = vec![0; n_blocks(self.size)];
        self.map.set_len(0)?;
        self.map.seek(SeekFrom::Start(0))?;
        self.map.write_all(&head(self.size))?;
        self.map.set_len(HEAD + self.filled.len() as u64)?;
        self.file.set_len(0)?;
        Ok(self.file.set_len(self.size)?)
    }

    /// The spans that are not here, in their order; each begins at a block's start.
    pub(crate) fn missing(&self) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for block in (0..self.filled.len()).filter(|block| !self.has(*block)) {
            let (start, end) = (block as u64 * BLOCK, self.end_of(block));
            match missing.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => missing.push(start..end),
            }
        }
        missing
    }

    /// The end of what is here without a hole from `start` on.
    pub(crate) fn contiguous_from(&self, start: u64) -> u64 {
        let mut end = start;
        while end < self.size && self.has((end / BLOCK) as usize) {
            end = self.end_of((end / BLOCK) as usize);
        }
        end
    }

    /// Writes a piece; no byte is written twice. Blocks that are whole then are marked.
    pub(crate) fn write_at(&mut self, piece: &[u8], offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(piece)?;
        let (mut at, end) = (offset, offset + piece.len() as u64);
        while at < end {
            let block = (at / BLOCK) as usize;
            let part = end.min(self.end_of(block)) - at;
            self.filled[block] += part;
            at += part;
            if self.has(block) {
                self.map.seek(SeekFrom::Start(HEAD + block as u64))?;
                self.map.write_all(&[1])?;
            }
        }
        Ok(())
    }

    /// Makes the blob visible, if its content was found to have its digest; else nothing of it stays.
    pub(crate) fn commit(self, found: Digest) -> Result<()> {
        let path = self.layout.blob_path(&self.digest)?;
        if let Err(error) = check_digest(&self.digest, found, &path) {
            self.discard()?;
            return Err(error);
        }
        self.file.sync_data()?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let (part, map) = paths(&self.layout, &self.digest);
        // First the blob: a map without content is only begun anew.
        fs::rename(part, path)?;
        Ok(fs::remove_file(map)?)
    }

    /// Throws away what is here.
    pub(crate) fn discard(self) -> Result<()> {
        let (part, map) = paths(&self.layout, &self.digest);
        fs::remove_file(part)?;
        Ok(fs::remove_file(map)?)
    }

    fn has(&self, block: usize) -> bool {
        self.filled[block] == self.end_of(block) - block as u64 * BLOCK
    }

    fn end_of(&self, block: usize) -> u64 {
        ((block as u64 + 1) * BLOCK).min(self.size)
    }
}

fn paths(layout: &Layout, digest: &Digest) -> (PathBuf, PathBuf) {
    let ingest = layout.root.join("ingest");
    let name = format!("{}-{}", digest.algorithm(), digest.digest());
    (ingest.join(format!("{name}.part")), ingest.join(format!("{name}.map")))
}

fn n_blocks(size: u64) -> usize {
    size.div_ceil(BLOCK) as usize
}

fn head(size: u64) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..].copy_from_slice(&size.to_le_bytes());
    head
}

/// Opens the map and locks it. One that was taken away between the two belongs to a blob that is finished.
fn lock(path: &Path) -> Result<Option<fs::File>> {
    loop {
        let map = fs::OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
        match map.try_lock() {
            Ok(()) if is_at(&map, path) => return Ok(Some(map)),
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(source)) => return Err(source.into()),
        }
    }
}

#[cfg(unix)]
fn is_at(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().and_then(|of_file| Ok(same(of_file, fs::metadata(path)?))).unwrap_or(false)
}

#[cfg(not(unix))]
fn is_at(_: &fs::File, path: &Path) -> bool {
    path.exists()
}

/// Reads how much of each block is here; `None` when the map is of another size, or of nothing.
fn read_map(map: &mut fs::File, size: u64) -> Result<Option<Vec<u64>>> {
    let mut bytes = Vec::new();
    map.take(HEAD + n_blocks(size) as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != HEAD + n_blocks(size) as u64 || bytes[..HEAD as usize] != head(size) {
        return Ok(None);
    }
    let length = |block: usize| ((block as u64 + 1) * BLOCK).min(size) - block as u64 * BLOCK;
    let marks = bytes[HEAD as usize..].iter().enumerate();
    Ok(Some(marks.map(|(block, mark)| if *mark == 1 { length(block) } else { 0 }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, Layout, Vec<u8>, Descriptor) {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let layout = Layout::init(dir.path()).expect("a layout");
        let bytes: Vec<u8> = (0..BLOCK * 3 + 100).map(|n| (n % 251) as u8).collect();
        let descriptor = content::descriptor("text/plain", &bytes);
        (dir, layout, bytes, descriptor)
    }

    fn open(layout: &Layout, descriptor: &Descriptor) -> Partial {
        Partial::open(layout, descriptor).expect("it opens").expect("nobody else is at it")
    }

    #[test]
    fn whole_blocks_are_there_in_the_next_run() {
        let (_dir, layout, bytes, descriptor) = fixture();
        let (block, size) = (BLOCK as usize, descriptor.size());
        let mut partial = open(&layout, &descriptor);
        assert_eq!(partial.missing(), vec![0..size]);
        assert!(Partial::open(&layout, &descriptor).expect("it opens").is_none(), "two write at once");
        partial.write_at(&bytes[block..2 * block], BLOCK).expect("it writes");
        partial.write_at(&bytes[3 * block..], BLOCK * 3).expect("it writes");
        partial.write_at(&bytes[..100], 0).expect("it writes");
        drop(partial);
        let mut partial = open(&layout, &descriptor);
        assert_eq!(partial.missing(), vec![0..BLOCK, 2 * BLOCK..3 * BLOCK]);
        assert_eq!((partial.contiguous_from(0), partial.contiguous_from(BLOCK)), (0, 2 * BLOCK));
        for start in [0, 2 * block] {
            partial.write_at(&bytes[start..start + block], start as u64).expect("it writes");
        }
        assert_eq!(partial.missing(), vec![]);
        partial.commit(descriptor.digest().clone()).expect("it is whole");
        assert_eq!(fs::read(layout.blob_path(descriptor.digest()).expect("a path")).expect("a blob"), bytes);
        assert_eq!(fs::read_dir(layout.root.join("ingest")).expect("a folder").count(), 0);
    }

    #[test]
    fn a_map_that_lies_about_its_size_is_begun_anew() {
        let (_dir, layout, bytes, descriptor) = fixture();
        let mut partial = open(&layout, &descriptor);
        partial.write_at(&bytes, 0).expect("it writes");
        drop(partial);
        let (part, _) = paths(&layout, descriptor.digest());
        fs::write(part, "short").expect("it writes");
        assert_eq!(open(&layout, &descriptor).missing(), vec![0..descriptor.size()]);
        let other = Descriptor::new("text/plain".into(), 7, descriptor.digest().clone());
        assert_eq!(open(&layout, &other).missing(), vec![0..7]);
    }

    #[test]
    fn wrong_content_leaves_nothing() {
        let (_dir, layout, bytes, descriptor) = fixture();
        let mut partial = open(&layout, &descriptor);
        partial.write_at(&bytes, 0).expect("it writes");
        partial.commit(content::digest(b"other")).expect_err("it is something else");
        assert!(!layout.contains(descriptor.digest()));
        assert_eq!(fs::read_dir(layout.root.join("ingest")).expect("a folder").count(), 0);
    }
}
