//! A file's text, or what it is in place of text.

use std::path::Path;

use fs_err as fs;

use super::Unread;

/// What some programs put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How files begin that hold something else, and what to do with it.
const OTHERS: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "it is compressed: unpack it first, with gunzip"),
    (b"\x28\xb5\x2f\xfd", "it is compressed: unpack it first, with unzstd"),
    (b"\xfd7zXZ\x00", "it is compressed: unpack it first, with unxz"),
    (b"BZh", "it is compressed: unpack it first, with bunzip2"),
    (b"PK\x03\x04", "it is a ZIP archive, as spreadsheets are: unpack it, or export CSV"),
    (b"PAR1", "it is Parquet, and its name does not end in .parquet"),
];

/// Reads a file of text, with line ends that any reader knows: files from old programs have
/// nothing but carriage returns.
pub(super) fn read(path: &Path) -> Result<String, Unread> {
    let bytes = fs::read(path).map_err(Unread::Io)?;
    if let Some((_, what)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err((*what).to_owned().into());
    }
    if is_utf_16(&bytes) {
        return Err("it is UTF-16: save it as UTF-8, or iconv -f UTF-16 -t UTF-8"
            .to_owned()
            .into());
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec).unwrap_or(bytes);
    let text = String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        format!(
            "line {line} is not UTF-8, it has a byte {:#04x}: save it as UTF-8, or, if it is Latin-1, iconv -f LATIN1 -t UTF-8",
            bytes[at]
        )
    })?;
    Ok(if text.contains('\r') && !text.contains('\n') { text.replace('\r', "\n") } else { text })
}

/// By its mark, or by the zeros that Latin letters have in it.
fn is_utf_16(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(32)];
    let half = |first: usize| {
        start.len() > 3 && start.iter().skip(first).step_by(2).all(|byte| *byte == 0)
    };
    start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") || half(0) || half(1)
}
