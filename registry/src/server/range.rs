//! Parts of a blob: `Range` of a request for one (RFC 9110 §14.2), `Content-Range` of one that is
//! uploaded (distribution-spec, "Pushing a blob in chunks": `<start>-<end>`, without a unit).

/// What a `Range` header asks of content of a given size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// Everything: there is no range, or one that need not be understood.
    Whole,
    /// The bytes from `start` up to, but without, `end`.
    Part { start: u64, end: u64 },
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Reads a `Range` header. Several ranges at once are not served in parts, which the RFC allows.
pub(crate) fn parse_range(header: Option<&str>, size: u64) -> ByteRange {
    let Some(range) = header.and_then(|header| header.strip_prefix("bytes=")) else {
        return ByteRange::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else { return ByteRange::Whole };
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.is_empty() => (first, size),
        (Err(_), Ok(length)) if first.is_empty() => (size.saturating_sub(length), size),
        _ => return ByteRange::Whole,
    };
    match part {
        (start, end) if start < end => ByteRange::Part { start, end },
        _ => ByteRange::Unsatisfiable,
    }
}

/// Reads the `Content-Range` of a chunk: its start, and its length in bytes.
pub(super) fn parse_content_range(header: &str) -> Option<(u64, u64)> {
    let (first, last) = header.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

/// Writes the `Range` of an upload that has `size` bytes. An empty one says `0-0`, as other
/// registries do.
pub(super) fn uploaded(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped_or_refused() {
        let cases = [
            (None, ByteRange::Whole),
            (Some("bytes=500-1499"), ByteRange::Part { start: 500, end: 1500 }),
            (Some("bytes=500-"), ByteRange::Part { start: 500, end: 3000 }),
            (Some("bytes=-500"), ByteRange::Part { start: 2500, end: 3000 }),
            (Some("bytes=-5000"), ByteRange::Part { start: 0, end: 3000 }),
            (Some("bytes=2000-5000"), ByteRange::Part { start: 2000, end: 3000 }),
            (Some("bytes=0-18446744073709551615"), ByteRange::Part { start: 0, end: 3000 }),
            (Some("bytes=500-0"), ByteRange::Unsatisfiable),
            (Some("bytes=5000-10000"), ByteRange::Unsatisfiable),
            (Some("bytes=3000-"), ByteRange::Unsatisfiable),
            (Some("bytes=-0"), ByteRange::Unsatisfiable),
            (Some("bytes=0-1,5-6"), ByteRange::Whole),
            (Some("bytes=x-y"), ByteRange::Whole),
            (Some("lines=1-2"), ByteRange::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(parse_range(header, 3000), expected, "{header:?}");
        }
        assert_eq!(parse_range(Some("bytes=0-"), 0), ByteRange::Unsatisfiable);
    }

    #[test]
    fn a_chunk_says_where_it_starts_and_how_long_it_is() {
        assert_eq!(parse_content_range("0-0"), Some((0, 1)));
        assert_eq!(parse_content_range("10-19"), Some((10, 10)));
        for bad in ["", "-", "5", "5-", "5-4", "bytes 0-1", "0-18446744073709551615"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
