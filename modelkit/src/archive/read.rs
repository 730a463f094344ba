//! Reads archives strictly: what two readers could take for two things is refused.
//! Source: POSIX.1-2017 `pax`, and "GNU tar" for long names.

use std::io::{self, BufRead, Read};

use super::entry::{Kind, problem};
use super::header::BLOCK;
use crate::error::Refused;

/// PAX records and long names may have this many bytes.
const MAX_EXTENSION: u64 = 1 << 20;

/// What the next entry is; its content follows in the stream.
#[derive(Debug)]
pub(super) struct Found {
    /// Checked: relative, and climbs nowhere.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
}

/// A stream of entries.
pub(super) struct Archive<R> {
    stream: R,
    content_left: u64,
    padding: u64,
}

/// What the headers before an entry's own say about it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, content_left: 0, padding: 0 }
    }

    /// The next entry, after what was left of the one before; none at the end of the stream, which
    /// was read up to there.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Refused> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else {
                let dangles = extensions.path.is_some() || extensions.size.is_some();
                return if dangles {
                    Err(Refused::Malformed("it ends before an entry"))
                } else {
                    Ok(None)
                };
            };
            match header.as_old().linkflag[0] {
                b'x' => self.pax(&header, &mut extensions)?,
                b'L' => self.long_name(&header, &mut extensions)?,
                b'g' => {
                    return Err(Refused::Malformed("a global header changes the entries after it"));
                }
                _ => match self.entry(&header, extensions)? {
                    Some(found) => return Ok(Some(found)),
                    None => extensions = Extensions::default(),
                },
            }
        }
    }

    /// Reads a header; at the zero block that ends an archive, the rest of the stream, which must
    /// be zero too.
    fn header(&mut self) -> Result<Option<tar::Header>, Refused> {
        let mut header = tar::Header::new_old();
        let n_read = read_up_to(&mut self.stream, header.as_mut_bytes())?;
        if n_read == 0 {
            return Ok(None);
        }
        if n_read < BLOCK {
            return Err(Refused::Malformed("it ends within a header"));
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return self.end();
        }
        let bytes = header.as_bytes();
        let sum =
            bytes[..148].iter().chain(&bytes[156..]).map(|byte| u64::from(*byte)).sum::<u64>()
                + 8 * u64::from(b' ');
        if number(&header.as_old().cksum) != Some(sum) {
            return Err(Refused::Malformed("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn end(&mut self) -> Result<Option<tar::Header>, Refused> {
        let mut rest = [0; 8 * BLOCK];
        loop {
            match read_up_to(&mut self.stream, &mut rest)? {
                0 => return Ok(None),
                n_read if rest[..n_read].iter().all(|byte| *byte == 0) => {}
                _ => return Err(Refused::Malformed("something follows its end")),
            }
        }
    }

    /// An entry of its own; none for the folder `./`.
    fn entry(
        &mut self,
        header: &tar::Header,
        extensions: Extensions,
    ) -> Result<Option<Found>, Refused> {
        let fields = header.as_old();
        let is_folder = fields.linkflag == *b"5";
        let name = extensions.path.unwrap_or_else(|| header_path(header));
        let path = entry_path(&name, is_folder)?;
        if let Some(problem) = refused_type(fields.linkflag[0]) {
            return Err(refused_entry(&name, problem));
        }
        let own_size = number(&fields.size).ok_or(Refused::Malformed("a size is not a number"))?;
        let size = extensions.size.unwrap_or(own_size);
        if own_size != size && own_size != 0 {
            return Err(refused_entry(&name, "has two sizes"));
        }
        if is_folder && size != 0 {
            return Err(refused_entry(&name, "is a folder with content"));
        }
        self.expect_content(size)?;
        let Some(path) = path else { return Ok(None) };
        let kind = match number(&fields.mode) {
            _ if is_folder => Kind::Folder,
            Some(mode) if mode & 0o100 != 0 => Kind::Executable,
            _ => Kind::File,
        };
        Ok(Some(Found { path, kind, size }))
    }

    fn pax(&mut self, header: &tar::Header, extensions: &mut Extensions) -> Result<(), Refused> {
        let records = self.extension(header)?;
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (key, value, after) =
                record(rest).ok_or(Refused::Malformed("a PAX record cannot be read"))?;
            rest = after;
            let is_new = match key {
                b"path" => extensions.path.replace(value.to_vec()).is_none(),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    let size = size.ok_or(Refused::Malformed("a PAX size is not a number"))?;
                    extensions.size.replace(size).is_none()
                }
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(Refused::Malformed("a file in it is sparse"));
                }
                _ => true,
            };
            if !is_new {
                return Err(Refused::Malformed("an entry has two names or two sizes"));
            }
        }
        Ok(())
    }

    fn long_name(
        &mut self,
        header: &tar::Header,
        extensions: &mut Extensions,
    ) -> Result<(), Refused> {
        let mut name = self.extension(header)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        match extensions.path.replace(name) {
            None => Ok(()),
            Some(_) => Err(Refused::Malformed("an entry has two names or two sizes")),
        }
    }

    fn extension(&mut self, header: &tar::Header) -> Result<Vec<u8>, Refused> {
        let size =
            number(&header.as_old().size).ok_or(Refused::Malformed("a size is not a number"))?;
        if size > MAX_EXTENSION {
            return Err(Refused::Limit { what: "an entry's name", limit: MAX_EXTENSION });
        }
        self.expect_content(size)?;
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        if content.len() as u64 != size {
            return Err(Refused::Malformed("it ends within an entry"));
        }
        Ok(content)
    }

    fn expect_content(&mut self, size: u64) -> Result<(), Refused> {
        let padded = size
            .checked_next_multiple_of(BLOCK as u64)
            .ok_or(Refused::Malformed("a size is too large"))?;
        self.content_left = size;
        self.padding = padded - size;
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), Refused> {
        let left = self.content_left + self.padding;
        let skipped = io::copy(&mut (&mut self.stream).take(left), &mut io::sink())?;
        self.content_left = 0;
        self.padding = 0;
        if skipped == left { Ok(()) } else { Err(Refused::Malformed("it ends within an entry")) }
    }
}

impl<R: BufRead> Archive<R> {
    /// What of the content of the entry found last can be had without waiting; empty only at its
    /// end, or at the stream's.
    pub(super) fn content(&mut self) -> io::Result<&[u8]> {
        let most = usize::try_from(self.content_left).unwrap_or(usize::MAX);
        if most == 0 {
            return Ok(&[]);
        }
        let bytes = self.stream.fill_buf()?;
        Ok(&bytes[..bytes.len().min(most)])
    }

    /// Goes on past `n` of the bytes that [`content`](Self::content) gave.
    pub(super) fn consume(&mut self, n: usize) {
        self.stream.consume(n);
        self.content_left -= n as u64;
    }
}

impl<R: BufRead> BufRead for Archive<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.content()
    }

    fn consume(&mut self, n: usize) {
        Self::consume(self, n);
    }
}

impl<R: Read> Read for Archive<R> {
    /// Reads the content of the entry that [`Archive::next`] found last.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.content_left).unwrap_or(usize::MAX));
        let n_read = self.stream.read(&mut buffer[..most])?;
        self.content_left -= n_read as u64;
        Ok(n_read)
    }
}

fn read_up_to(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n_read = 0;
    while n_read < buffer.len() {
        match stream.read(&mut buffer[n_read..]) {
            Ok(0) => break,
            Ok(more) => n_read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n_read)
}

/// Octal digits between spaces and NULs, or GNU's base 256 where a size is too large for them.
fn number(field: &[u8]) -> Option<u64> {
    if field.first() == Some(&0x80) {
        let (high, low) = field[1..].split_at(field.len().checked_sub(9)?);
        let value = u64::from_be_bytes(low.try_into().ok()?);
        return (high.iter().all(|byte| *byte == 0) && value <= i64::MAX as u64).then_some(value);
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    is_octal.then(|| u64::from_str_radix(text, 8).ok()).flatten()
}

/// One PAX record, `"<length> <key>=<value>\n"`: key, value, and what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&bytes[..space]).ok()?;
    let length: usize =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let (record, after) = bytes.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, after))
}

fn header_path(header: &tar::Header) -> Vec<u8> {
    let up_to_nul =
        |field: &[u8]| field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let name = up_to_nul(&header.as_old().name);
    let prefix = header.as_ustar().map(|fields| up_to_nul(&fields.prefix)).unwrap_or_default();
    if prefix.is_empty() { name } else { [prefix.as_slice(), b"/", &name].concat() }
}

/// The checked path of an entry; none for the archive's root itself.
fn entry_path(name: &[u8], is_folder: bool) -> Result<Option<String>, Refused> {
    let text = std::str::from_utf8(name)
        .map_err(|_| refused_entry(name, "has a name that is not UTF-8"))?;
    let mut path = text;
    if is_folder && path.starts_with('/') {
        return Err(refused_entry(name, "has an absolute name"));
    }
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    if is_folder {
        path = path.strip_suffix('/').unwrap_or(path);
        if path == "." || (path.is_empty() && !text.is_empty()) {
            return Ok(None);
        }
    }
    match problem(path) {
        None => Ok(Some(path.to_owned())),
        Some(problem) => Err(refused_entry(name, problem)),
    }
}

fn refused_type(flag: u8) -> Option<&'static str> {
    match flag {
        b'0' | 0 | b'5' => None,
        b'1' => Some("is a hard link"),
        b'2' => Some("is a symbolic link"),
        b'3' | b'4' => Some("is a device"),
        b'6' => Some("is a FIFO"),
        b'S' => Some("is a sparse file"),
        _ => Some("is neither a file nor a folder"),
    }
}

fn refused_entry(name: &[u8], problem: &'static str) -> Refused {
    Refused::Entry { name: name.escape_ascii().to_string(), problem }
}
