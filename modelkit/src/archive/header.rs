//! Tar headers as Go's `archive/tar` writes them, which is how `kit pack` writes them.
//! Source: POSIX.1-2017 `pax`, sections "ustar Interchange Format" and "pax Interchange Format".

use super::entry::{Entry, Kind};

/// Size of a tar block in bytes; headers and file contents are padded to it.
pub(super) const BLOCK: usize = 512;

const NAME_SIZE: usize = 100;
const PREFIX_SIZE: usize = 155;
/// Sizes from here on do not fit into the eleven octal digits of a header.
const OCTAL_SIZE_END: u64 = 1 << 33;
const UID: u64 = 1000;

/// What one entry's header says; owner (1000:0) and time (0) are constant.
pub(super) struct Header<'a> {
    pub(super) path: &'a str,
    pub(super) kind: Kind,
    pub(super) size: u64,
}

impl<'a> Header<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        Self { path: &entry.path, kind: entry.content.kind(), size: entry.content.size() }
    }

    /// Size in bytes of [`to_blocks`](Self::to_blocks).
    pub(super) fn size(&self) -> u64 {
        let fits = self.size < OCTAL_SIZE_END
            && (self.path.is_ascii() && self.path.len() <= NAME_SIZE || split(self.path).is_some());
        if fits { BLOCK as u64 } else { self.to_blocks().len() as u64 }
    }

    /// The header's blocks: one of USTAR where it fits, else a PAX header before it.
    pub(super) fn to_blocks(&self) -> Vec<u8> {
        let path = self.path;
        let fits_octal = self.size < OCTAL_SIZE_END;
        let plain = path.is_ascii() && path.len() <= NAME_SIZE;
        if fits_octal && plain {
            return self.block("", path.as_bytes(), self.size).to_vec();
        }
        if fits_octal && let Some((prefix, name)) = split(path) {
            return self.block(prefix, name.as_bytes(), self.size).to_vec();
        }
        let mut records = Vec::new();
        if !plain {
            records.extend(record("path", path));
        }
        if !fits_octal {
            records.extend(record("size", &self.size.to_string()));
        }
        let mut blocks = extended(path, &records);
        let size = if fits_octal { self.size } else { 0 };
        blocks.extend(self.block("", &short(&ascii(path)), size));
        blocks
    }

    fn block(&self, prefix: &str, name: &[u8], size: u64) -> [u8; BLOCK] {
        let mut header = tar::Header::new_ustar();
        let fields = header.as_ustar_mut().expect("made as ustar");
        let mode = if self.kind == Kind::File { 0o644 } else { 0o755 };
        fields.name[..name.len()].copy_from_slice(name);
        fields.prefix[..prefix.len()].copy_from_slice(prefix.as_bytes());
        fields.typeflag = [if self.kind == Kind::Folder { b'5' } else { b'0' }];
        octal(&mut fields.mode, mode);
        octal(&mut fields.uid, UID);
        octal(&mut fields.gid, 0);
        octal(&mut fields.size, size);
        octal(&mut fields.mtime, 0);
        octal(&mut fields.dev_major, 0);
        octal(&mut fields.dev_minor, 0);
        seal(header)
    }
}

/// The PAX header named `<folder>/PaxHeaders.0/<base>` with its records.
fn extended(path: &str, records: &[u8]) -> Vec<u8> {
    let (folder, base) = path.rsplit_once('/').unwrap_or(("", path));
    let separator = if folder.is_empty() { "" } else { "/" };
    let name = ascii(&format!("{folder}{separator}PaxHeaders.0/{base}"));
    let name = without_slashes(&name[..name.len().min(NAME_SIZE)]);
    let mut header = tar::Header::new_ustar();
    let fields = header.as_ustar_mut().expect("made as ustar");
    fields.name[..name.len()].copy_from_slice(name);
    fields.typeflag = *b"x";
    octal(&mut fields.mode, 0);
    octal(&mut fields.uid, 0);
    octal(&mut fields.gid, 0);
    octal(&mut fields.size, records.len() as u64);
    octal(&mut fields.mtime, 0);
    let mut blocks = seal(header).to_vec();
    blocks.extend(records);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks
}

/// Adds the checksum: six octal digits, a NUL, a space.
fn seal(mut header: tar::Header) -> [u8; BLOCK] {
    let fields = header.as_ustar_mut().expect("made as ustar");
    fields.cksum.fill(b' ');
    let sum: u64 = header.as_bytes().iter().map(|byte| u64::from(*byte)).sum();
    let fields = header.as_ustar_mut().expect("made as ustar");
    octal(&mut fields.cksum[..7], sum);
    *header.as_bytes()
}

/// Zero-padded octal digits and a final NUL, filling the field.
fn octal(field: &mut [u8], value: u64) {
    let digits = format!("{value:0width$o}\0", width = field.len() - 1);
    field.copy_from_slice(digits.as_bytes());
}

/// Splits a long path at the last `/` that leaves both parts within their fields.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME_SIZE || !path.is_ascii() {
        return None;
    }
    let at = path[..path.len().min(PREFIX_SIZE + 1)].rfind('/')?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (at > 0 && !name.is_empty() && name.len() <= NAME_SIZE).then_some((prefix, name))
}

/// One PAX record, `"<length> <key>=<value>\n"`, where the length counts its own digits.
fn record(key: &str, value: &str) -> Vec<u8> {
    let bare = key.len() + value.len() + 3;
    let mut length = bare + bare.to_string().len();
    if length.to_string().len() > bare.to_string().len() {
        length += 1;
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// The path without its characters beyond ASCII, for readers that know no PAX.
fn ascii(path: &str) -> Vec<u8> {
    path.bytes().filter(u8::is_ascii).collect()
}

/// What of a name goes into a name field that a PAX record overrules: a cut name must not look like
/// a folder's.
fn short(name: &[u8]) -> Vec<u8> {
    let mut field = name[..name.len().min(NAME_SIZE)].to_vec();
    if name.len() > NAME_SIZE && field.ends_with(b"/") {
        let end = without_slashes(&field).len();
        field[end] = 0;
    }
    field
}

fn without_slashes(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "a"), b"9 path=a\n");
        for length in 1..1200 {
            let bytes = record("path", &"x".repeat(length));
            let text = String::from_utf8(bytes).unwrap();
            let (count, _) = text.split_once(' ').unwrap();
            assert_eq!(count.parse::<usize>().unwrap(), text.len());
        }
    }

    #[test]
    fn long_paths_split_only_where_both_parts_fit() {
        let fits = format!("{}/{}", "p".repeat(155), "n".repeat(100));
        assert_eq!(split(&fits).map(|(prefix, name)| (prefix.len(), name.len())), Some((155, 100)));
        assert!(split(&format!("{}/{}", "p".repeat(156), "n".repeat(90))).is_none());
        assert!(split(&"n".repeat(101)).is_none());
        assert!(split("short/path").is_none());
    }

    #[test]
    fn headers_are_those_of_gos_archive_tar() {
        let digests = include_str!("../../testdata/tar/digests.txt");
        let lines: Vec<_> = digests.lines().filter(|line| !line.ends_with(" tree.txt")).collect();
        assert_eq!(lines.len(), 15);
        for line in lines {
            let [length, digest, size, path] =
                line.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
            let header = Header { path, kind: Kind::File, size: size.parse().unwrap() };
            let blocks = header.to_blocks();
            assert_eq!(header.size(), blocks.len() as u64, "{size} {path}");
            assert_eq!(blocks.len().to_string(), length, "{size} {path}");
            assert_eq!(registry::content::digest(&blocks).digest(), digest, "{size} {path}");
        }
    }
}
