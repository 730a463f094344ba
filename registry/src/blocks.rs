//! Content that arrives in pieces, in any order, and in several runs of the process.
//!
//! ```text
//! <content>    as long as the whole, with holes
//! <map>        which blocks are there: a head, and a byte for each block up to the last one
//! ```
//!
//! Sizes are somebody's word: what is held in memory and written to the map grows with what has
//! come, never with what was announced.
//!
//! A block is marked after it was written, so that a process that is killed leaves no mark too
//! many. When the machine itself stops, a mark can be on the disk before its block is: the digest
//! of the whole finds that out.
//! Whoever writes holds a lock on the map, which is to be taken away after the content got its
//! name: nobody writes into what is finished.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;

use crate::Result;
#[cfg(feature = "hub")]
use crate::content::Hasher;

/// The size of a block in bytes: what a killed process may have to fetch again, for each of its
/// connections.
pub(crate) const BLOCK: u64 = 1024 * 1024;
const MAGIC: &[u8; 8] = b"kitpart1";
/// The magic number, and the size of the content.
const HEAD: u64 = 16;

/// Content of which some blocks are here.
#[derive(Debug)]
pub(crate) struct Blocks {
    path: PathBuf,
    map_path: PathBuf,
    size: u64,
    file: fs::File,
    map: fs::File,
    /// The blocks that are here whole.
    whole: Spans,
    /// How many bytes of other blocks are here.
    begun: BTreeMap<u64, u64>,
}

impl Blocks {
    /// Takes up what is here of some content, or begins it; `None` while somebody else is at it.
    pub(crate) fn open(path: PathBuf, map_path: PathBuf, size: u64) -> Result<Option<Self>> {
        let Some(mut map) = lock(&map_path)? else { return Ok(None) };
        let known =
            read_map(&mut map, size)?.filter(|_| path.metadata().is_ok_and(|it| it.len() == size));
        let is_new = known.is_none();
        let file = fs::OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)?;
        let (whole, begun) = (known.unwrap_or_default(), BTreeMap::new());
        let mut blocks = Self { path, map_path, size, file, map, whole, begun };
        match if is_new { blocks.reset() } else { Ok(()) } {
            Ok(()) => Ok(Some(blocks)),
            // A file system that has no place for it keeps nothing of it.
            Err(error) => blocks.discard().and(Err(error)),
        }
    }

    /// Where the content is on its way.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets everything that is here.
    pub(crate) fn reset(&mut self) -> Result<()> {
        (self.whole, self.begun) = (Spans::default(), BTreeMap::new());
        self.map.set_len(0)?;
        self.map.seek(SeekFrom::Start(0))?;
        self.map.write_all(&head(self.size))?;
        self.file.set_len(0)?;
        Ok(self.file.set_len(self.size)?)
    }

    /// The spans that are not here, in their order; each begins at a block's start.
    pub(crate) fn missing(&self) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut start = 0;
        for (first, end) in &self.whole.0 {
            missing.push(start..self.start_of(*first));
            start = self.start_of(*end);
        }
        missing.push(start..self.size);
        missing.retain(|span| !span.is_empty());
        missing
    }

    /// The end of what is here without a hole from `start` on.
    pub(crate) fn contiguous_from(&self, start: u64) -> u64 {
        self.whole.end_from(start / BLOCK).map_or(start, |end| self.start_of(end))
    }

    /// Writes a piece; no byte is written twice. Blocks that are whole then are marked.
    pub(crate) fn write_at(&mut self, piece: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(piece, offset)?;
        let (mut at, end) = (offset, offset + piece.len() as u64);
        while at < end {
            let block = at / BLOCK;
            let block_end = self.start_of(block + 1);
            let part = end.min(block_end) - at;
            let here = self.begun.remove(&block).unwrap_or(0) + part;
            at += part;
            if here < block_end - block * BLOCK {
                self.begun.insert(block, here);
                continue;
            }
            self.whole.add(block);
            self.map.write_all_at(&[1], HEAD + block)?;
        }
        Ok(())
    }

    /// Hashes all that is here, from its start to its end.
    #[cfg(feature = "hub")]
    pub(crate) fn hash(&self, mut hasher: Hasher) -> Result<Hasher> {
        self.hash_span(0..self.size, &mut hasher)?;
        Ok(hasher)
    }

    /// Hashes what lies in a span.
    #[cfg(feature = "hub")]
    pub(crate) fn hash_span(&self, span: Range<u64>, hasher: &mut Hasher) -> Result<()> {
        let (mut at, mut buffer) = (span.start, vec![0; 256 * 1024]);
        while at < span.end {
            let most = buffer.len().min((span.end - at) as usize);
            self.file.read_exact_at(&mut buffer[..most], at)?;
            hasher.update(&buffer[..most]);
            at += most as u64;
        }
        Ok(())
    }

    /// Gives the content the name of a finished one.
    pub(crate) fn publish(self, path: &Path) -> Result<()> {
        self.file.sync_data()?;
        // First the content: a map without it is only begun anew.
        fs::rename(&self.path, path)?;
        Ok(fs::remove_file(&self.map_path)?)
    }

    /// Throws away what is here.
    pub(crate) fn discard(self) -> Result<()> {
        fs::remove_file(&self.path)?;
        Ok(fs::remove_file(&self.map_path)?)
    }

    /// Where a block begins; those behind the end begin there.
    fn start_of(&self, block: u64) -> u64 {
        block.saturating_mul(BLOCK).min(self.size)
    }
}

/// Numbers without the holes between them: from the first of each run to the one behind it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spans(BTreeMap<u64, u64>);

impl Spans {
    /// The end of the run that has this number.
    fn end_from(&self, number: u64) -> Option<u64> {
        let (_, end) = self.0.range(..=number).next_back()?;
        (number < *end).then_some(*end)
    }

    fn add(&mut self, number: u64) {
        if self.end_from(number).is_some() {
            return;
        }
        let end = self.0.remove(&(number + 1)).unwrap_or(number + 1);
        let before = self.0.range(..number).next_back().map(|(first, end)| (*first, *end));
        let first = before.filter(|(_, end)| *end == number).map_or(number, |(first, _)| first);
        self.0.insert(first, end);
    }
}

fn head(size: u64) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..].copy_from_slice(&size.to_le_bytes());
    head
}

/// Opens the map and locks it. One that was taken away between the two belongs to a blob that is
/// finished.
fn lock(path: &Path) -> Result<Option<fs::File>> {
    loop {
        let map = fs::OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)?;
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
    let same =
        |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().and_then(|of_file| Ok(same(of_file, fs::metadata(path)?))).unwrap_or(false)
}

#[cfg(not(unix))]
fn is_at(_: &fs::File, path: &Path) -> bool {
    path.exists()
}

/// Reads which blocks are here; `None` when the map is of another size, or of nothing.
fn read_map(map: &mut fs::File, size: u64) -> Result<Option<Spans>> {
    let n_blocks = size.div_ceil(BLOCK);
    let length = map.metadata()?.len();
    let mut bytes = BufReader::new(map).bytes();
    let is_of_it = head(size)
        .iter()
        .all(|expected| bytes.next().is_some_and(|found| found.is_ok_and(|it| it == *expected)));
    if !is_of_it || length > HEAD + n_blocks {
        return Ok(None);
    }
    let mut whole = Spans::default();
    for (block, mark) in (0..).zip(bytes) {
        if mark? == 1 {
            whole.add(block);
        }
    }
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = BLOCK * 3 + 100;

    fn bytes() -> Vec<u8> {
        (0..SIZE).map(|n| (n % 251) as u8).collect()
    }

    fn open(dir: &Path, size: u64) -> Option<Blocks> {
        Blocks::open(dir.join("content"), dir.join("map"), size).expect("it opens")
    }

    #[test]
    fn whole_blocks_are_there_in_the_next_run() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let (block, bytes) = (BLOCK as usize, bytes());
        let mut blocks = open(dir.path(), SIZE).expect("nobody else is at it");
        assert_eq!(blocks.missing(), vec![0..SIZE]);
        assert!(open(dir.path(), SIZE).is_none(), "two write at once");
        blocks.write_at(&bytes[block..2 * block], BLOCK).expect("it writes");
        blocks.write_at(&bytes[3 * block..], BLOCK * 3).expect("it writes");
        blocks.write_at(&bytes[..100], 0).expect("it writes");
        drop(blocks);
        let mut blocks = open(dir.path(), SIZE).expect("nobody else is at it");
        assert_eq!(blocks.missing(), vec![0..BLOCK, 2 * BLOCK..3 * BLOCK]);
        assert_eq!((blocks.contiguous_from(0), blocks.contiguous_from(BLOCK)), (0, 2 * BLOCK));
        for start in [0, 2 * block] {
            blocks.write_at(&bytes[start..start + block], start as u64).expect("it writes");
        }
        assert_eq!(blocks.missing(), vec![]);
        blocks.publish(&dir.path().join("finished")).expect("it gets its name");
        assert_eq!(fs::read(dir.path().join("finished")).expect("it is there"), bytes);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_map_that_lies_about_its_size_is_begun_anew() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        open(dir.path(), SIZE)
            .expect("nobody else is at it")
            .write_at(&bytes(), 0)
            .expect("it writes");
        fs::write(dir.path().join("content"), "short").expect("it writes");
        assert_eq!(open(dir.path(), SIZE).expect("nobody else is at it").missing(), vec![0..SIZE]);
        assert_eq!(open(dir.path(), 7).expect("nobody else is at it").missing(), vec![0..7]);
    }

    #[test]
    fn an_announced_size_costs_nothing() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        // More than the file systems of today take; those that take it keep only what is written.
        for size in [1 << 40, 1 << 53, i64::MAX as u64, u64::MAX] {
            let Ok(Some(mut blocks)) =
                Blocks::open(dir.path().join("content"), dir.path().join("map"), size)
            else {
                continue;
            };
            assert_eq!(blocks.missing(), vec![0..size]);
            blocks.write_at(&[7; 10], size - size % BLOCK - 10).expect("a hole costs nothing");
            blocks.write_at(&[0; BLOCK as usize], 3 * BLOCK).expect("it writes");
            assert_eq!(blocks.missing(), vec![0..3 * BLOCK, 4 * BLOCK..size]);
            assert!(dir.path().join("map").metadata().expect("it is there").len() < 100);
            drop(blocks);
            let again = open(dir.path(), size).expect("nobody else is at it");
            assert_eq!(again.missing(), vec![0..3 * BLOCK, 4 * BLOCK..size]);
        }
    }

    #[test]
    fn spans_grow_together_in_any_order() {
        let mut spans = Spans::default();
        for number in [5, 1, 3, 2, 9, 4, 3, 0] {
            spans.add(number);
        }
        assert_eq!(spans.0, BTreeMap::from([(0, 6), (9, 10)]));
        assert_eq!(
            [0, 5, 6, 9].map(|number| spans.end_from(number)),
            [Some(6), Some(6), None, Some(10)]
        );
    }
}
