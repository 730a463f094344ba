//! The table of contents of a ZIP archive whose files are stored as they are.
//! Source: APPNOTE.TXT, §4.3.

use std::ops::Range;

const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_SIZE: usize = 20;

/// Names of all files, and where their bytes are.
pub(crate) fn entries(archive: &[u8]) -> Result<Vec<(String, Range<usize>)>, String> {
    directory_of(archive)?
        .into_iter()
        .map(|entry| {
            let range = entry.range(archive)?;
            Ok((entry.name, range))
        })
        .collect()
}

/// The table of contents.
pub(crate) fn directory_of(archive: &[u8]) -> Result<Vec<Entry>, String> {
    let (mut at, n_entries) = directory(archive).ok_or_else(broken)?;
    let mut entries = Vec::new();
    for _ in 0..n_entries {
        let entry = Entry::read(archive.get(at..).ok_or_else(broken)?).ok_or_else(broken)?;
        at += entry.size;
        entries.push(entry);
    }
    Ok(entries)
}

fn broken() -> String {
    "its archive is damaged, or not whole".to_owned()
}

/// Where the directory begins, and how many entries it has.
fn directory(archive: &[u8]) -> Option<(usize, usize)> {
    // A comment may follow.
    let from = archive.len().saturating_sub(END_SIZE + usize::from(u16::MAX));
    let end = from + archive[from..].windows(END.len()).rposition(|four| four == END)?;
    let of = archive.get(end..end + END_SIZE)?;
    let (n_entries, at) = (number(of, 10, 2)?, number(of, 16, 4)?);
    if n_entries != 0xffff && at != 0xffff_ffff {
        return Some((at, n_entries));
    }
    let locator = archive.get(end.checked_sub(LOCATOR_64_SIZE)?..end)?;
    let end = number(locator.strip_prefix(LOCATOR_64)?, 4, 8)?;
    let of = archive.get(end..)?;
    of.starts_with(END_64).then_some(())?;
    Some((number(of, 48, 8)?, number(of, 32, 8)?))
}

/// A file in an archive.
pub(crate) struct Entry {
    pub(crate) name: String,
    method: usize,
    /// Of the file, in bytes.
    stored: usize,
    /// Where its local header is.
    local: usize,
    /// Of this entry, in bytes.
    size: usize,
}

impl Entry {
    /// Its bytes, where they are stored as they are.
    pub(crate) fn bytes<'a>(&self, archive: &'a [u8]) -> Result<&'a [u8], String> {
        self.range(archive).map(|range| &archive[range])
    }

    fn range(&self, archive: &[u8]) -> Result<Range<usize>, String> {
        if self.method != 0 {
            return Err(format!(
                "{} in its archive is compressed, as torch.save never writes it",
                self.name
            ));
        }
        // The local header has lengths of its own.
        let local = archive.get(self.local..).filter(|local| local.starts_with(b"PK\x03\x04"));
        let local = local.ok_or_else(broken)?;
        let header = 30
            + number(local, 26, 2).ok_or_else(broken)?
            + number(local, 28, 2).ok_or_else(broken)?;
        let begin = self.local.checked_add(header).ok_or_else(broken)?;
        let end = begin.checked_add(self.stored).filter(|end| *end <= archive.len());
        Ok(begin..end.ok_or_else(broken)?)
    }

    fn read(of: &[u8]) -> Option<Self> {
        of.starts_with(b"PK\x01\x02").then_some(())?;
        let field = |at: usize, n_bytes: usize| number(of, at, n_bytes);
        let (mut stored, mut whole, mut local) = (field(20, 4)?, field(24, 4)?, field(42, 4)?);
        let [n_name, n_extra, n_comment] = [field(28, 2)?, field(30, 2)?, field(32, 2)?];
        let name = String::from_utf8(of.get(46..46 + n_name)?.to_vec()).ok()?;
        let mut extra = of.get(46 + n_name..46 + n_name + n_extra)?;
        while extra.len() >= 4 {
            let (kind, n) = (number(extra, 0, 2)?, number(extra, 2, 2)?);
            let mut fields = extra.get(4..4 + n)?;
            if kind == 1 {
                // Only what does not fit into its own field, in this order.
                for value in [&mut whole, &mut stored, &mut local] {
                    if *value == 0xffff_ffff {
                        *value = number(fields, 0, 8)?;
                        fields = &fields[8..];
                    }
                }
            }
            extra = &extra[4 + n..];
        }
        Some(Self {
            name,
            method: field(10, 2)?,
            stored,
            local,
            size: 46 + n_name + n_extra + n_comment,
        })
    }
}

/// The least significant byte first.
fn number(bytes: &[u8], at: usize, n_bytes: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(n_bytes)?)?;
    let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}
