//! Answers that are not what they should be: coded without being asked for, or a web page in the
//! place of content. Much stands between a client and a server that thinks it knows better.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::envelope::printable;
use super::location;
use crate::{ContentError, Error, HttpError, Result};

/// The coding that a server says it has given its answer; none for the bytes as they are.
pub(super) fn coding(response: &Response) -> Option<String> {
    let coding = response.headers().get(CONTENT_ENCODING)?.to_str().ok()?.trim();
    let coding = coding.to_ascii_lowercase();
    (!matches!(coding.as_str(), "" | "identity")).then_some(coding)
}

/// Undoes the coding of a document from `url`. What only says that it is coded is taken as it is.
pub(super) fn decoded(
    bytes: Vec<u8>,
    coding: Option<String>,
    url: String,
    limit: u64,
) -> Result<Vec<u8>> {
    match coding.as_deref() {
        None => Ok(bytes),
        Some("gzip" | "x-gzip") if !bytes.starts_with(&[0x1f, 0x8b]) => Ok(bytes),
        Some("gzip" | "x-gzip") => {
            let mut plain = Vec::new();
            let read = MultiGzDecoder::new(&bytes[..]).take(limit + 1).read_to_end(&mut plain);
            match read {
                Err(_) => Err(HttpError::protocol(url, "its gzip cannot be read").into()),
                Ok(size) if size as u64 > limit => {
                    Err(ContentError::TooLarge { what: url, size: size as u64, limit }.into())
                }
                Ok(_) => Ok(plain),
            }
        }
        Some(other) => Err(unasked(url, other)),
    }
}

/// Says whether an answer calls itself a web page.
pub(crate) fn is_page(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    media_type.is_some_and(|it| it.trim().to_ascii_lowercase().starts_with("text/html"))
}

/// Says whether a body is a web page, whatever it calls itself.
pub(super) fn looks_like_a_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// The error for a web page in the place of something else.
pub(super) fn page(url: String) -> Error {
    let reason = "a web page came in its place: something else answers at this address, \
                  or stands before it and wants somebody to sign in";
    HttpError::protocol(url, reason).into()
}

/// The error for content that is announced with another size than it should have; where the answer
/// says itself why, it says so.
pub(crate) fn wrong_size(response: &Response, expected: u64, found: u64) -> Error {
    let url = location::shown(response.url());
    match coding(response) {
        Some(coding) => unasked(url, &coding),
        None if is_page(response) => page(url),
        None => ContentError::WrongSize { what: "the body".into(), expected, found }.into(),
    }
}

/// Refuses content that is coded, or a page in its place, where only its length can tell: it may
/// also be called so and be what it should.
#[cfg(feature = "hub")]
pub(crate) fn check_plain(response: &Response, expected: u64) -> Result<()> {
    let is_odd = coding(response).is_some() || is_page(response);
    match response.content_length() {
        Some(found) if found == expected => Ok(()),
        found if is_odd => Err(wrong_size(response, expected, found.unwrap_or(0))),
        _ => Ok(()),
    }
}

fn unasked(url: String, coding: &str) -> Error {
    let coding = printable(coding);
    let reason = format!(
        "it came coded as {coding}, although it was asked for as it is: a proxy may do that"
    );
    HttpError::protocol(url, reason).into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory takes everything");
        encoder.finish().expect("memory takes everything")
    }

    fn check(bytes: &[u8], coding: Option<&str>, expected: Option<&[u8]>) {
        let found = decoded(bytes.to_vec(), coding.map(str::to_owned), "r.test".into(), 100);
        assert_eq!(found.ok().as_deref(), expected, "{coding:?}");
    }

    #[test]
    fn a_coding_that_nobody_asked_for_is_undone_or_refused() {
        check(b"{}", None, Some(b"{}"));
        check(&gzip(b"{}"), Some("gzip"), Some(b"{}"));
        check(&gzip(b"{}"), None, Some(&gzip(b"{}")));
        check(b"{}", Some("gzip"), Some(b"{}"));
        check(b"{}", Some("br"), None);
        check(&gzip(b"{}")[..15], Some("gzip"), None);
    }

    #[test]
    fn what_was_small_on_the_wire_is_still_bounded() {
        check(&gzip(&[b' '; 100]), Some("gzip"), Some(&[b' '; 100]));
        check(&gzip(&[b' '; 101]), Some("gzip"), None);
    }
}
