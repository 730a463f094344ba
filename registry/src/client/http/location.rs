//! Where a server sends its client: upload sessions and redirects.

use url::Url;

use crate::content::Digest;

/// Resolves a `Location` against the address that answered.
///
/// Only HTTP is followed, never from `https` to `http`, and user names in an address are not taken.
pub(crate) fn resolve(location: &str, from: &Url) -> Option<Url> {
    let mut target = from.join(location).ok()?;
    let weaker = from.scheme() == "https" && target.scheme() != "https";
    if weaker
        || !matches!(target.scheme(), "http" | "https")
        || !target.username().is_empty()
        || target.password().is_some()
    {
        return None;
    }
    target.set_fragment(None);
    Some(target)
}

/// Returns the address that ends an upload session: the location as it was given, and the digest.
/// Source: distribution-spec, end-6.
pub(crate) fn put_uri(session: &Url, digest: &Digest) -> Url {
    let mut uri = session.clone();
    uri.query_pairs_mut().append_pair("digest", digest.as_ref());
    uri
}

/// Says whether two addresses have the same scheme, host and port, so that credentials of one may
/// go to the other.
pub(crate) fn is_same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Returns an address as it may be shown: the query of a redirect can hold a signature that opens a
/// store, and a password may stand before the host.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // What cannot have them has none.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Returns the host and port of an address that [`shown`] gave.
pub(crate) fn host_of(shown: &str) -> &str {
    let rest = shown.split_once("://").map_or(shown, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Reads the last byte of an upload's `Range: 0-END` and returns how many bytes the server has.
/// Some servers write the unit `bytes=` that the specification leaves out; `0-0` may mean one byte
/// or none, so that it says nothing.
pub(crate) fn received(range: &str) -> Option<u64> {
    let range = range.trim();
    let end = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?;
    end.parse::<u64>().ok().filter(|end| *end > 0)?.checked_add(1)
}

/// Reads the first byte of a download's `Content-Range: bytes START-END/SIZE`.
pub(crate) fn first_byte(content_range: &str) -> Option<u64> {
    content_range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Reads the size of the whole from a download's `Content-Range: bytes START-END/SIZE`; `None` when
/// it is left open.
pub(crate) fn total(content_range: &str) -> Option<u64> {
    content_range.split_once('/')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(location: &str, from: &str) -> Option<String> {
        resolve(location, &Url::parse(from).expect("the address is well formed")).map(String::from)
    }

    #[test]
    fn locations_are_relative_or_absolute() {
        let from = "https://r.test/v2/a/blobs/uploads/";
        assert_eq!(
            resolved("/v2/a/blobs/uploads/1?s=x", from).as_deref(),
            Some("https://r.test/v2/a/blobs/uploads/1?s=x")
        );
        assert_eq!(resolved("1", from).as_deref(), Some("https://r.test/v2/a/blobs/uploads/1"));
        assert_eq!(
            resolved("https://s3.test/b?sig=1#f", from).as_deref(),
            Some("https://s3.test/b?sig=1")
        );
        assert_eq!(resolved("//s3.test/b", from).as_deref(), Some("https://s3.test/b"));
    }

    #[test]
    fn locations_are_never_weaker_than_their_origin() {
        assert_eq!(resolved("http://r.test/x", "https://r.test/"), None);
        assert_eq!(resolved("file:///etc/passwd", "http://r.test/"), None);
        assert_eq!(resolved("https://user:pw@r.test/x", "https://r.test/"), None);
        assert_eq!(
            resolved("https://r.test/x", "http://r.test/").as_deref(),
            Some("https://r.test/x")
        );
    }

    #[test]
    fn the_digest_is_added_to_the_query_of_the_session() {
        let digest = crate::content::digest(b"");
        let with_query =
            put_uri(&Url::parse("https://r.test/u?state=a%2Bb").expect("well formed"), &digest);
        assert_eq!(
            with_query.query(),
            Some(format!("state=a%2Bb&digest=sha256%3A{}", digest.digest()).as_str())
        );
        let without = put_uri(&Url::parse("https://r.test/u").expect("well formed"), &digest);
        assert_eq!(without.query(), Some(format!("digest=sha256%3A{}", digest.digest()).as_str()));
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(received("0-99"), Some(100));
        assert_eq!(received("bytes=0-99"), Some(100));
        assert_eq!(received("5-99"), None);
        assert_eq!(received("0-0"), None);
        assert_eq!(received(&format!("0-{}", u64::MAX)), None);
        assert_eq!(first_byte("bytes 10-19/20"), Some(10));
        assert_eq!(first_byte("10-19/20"), None);
        assert_eq!((total("bytes 10-19/20"), total("bytes 10-19/*")), (Some(20), None));
    }
}
