//! Paths of the distribution protocol (distribution-spec, "Endpoints").

use crate::content::{self, Digest};
use crate::reference::{check_tag, is_repository};
use crate::server::failure::{Code, Failure};

/// What a path names. Names, digests, tags and upload ids were checked: each can become a part of a
/// file's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    Blob { name: String, digest: Digest },
    Manifest { name: String, version: Version },
    Uploads { name: String },
    Upload { name: String, id: String },
    Tags { name: String },
    Referrers { name: String, subject: Digest },
}

/// How a path names a manifest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Version {
    Tag(String),
    Digest(Digest),
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Route {
    /// Reads a path from its end, because a repository's name may have any number of segments.
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        if path == "/v2/" || path == "/v2" {
            return Ok(Self::Base);
        }
        if path == "/v2/_catalog" {
            return Ok(Self::Catalog);
        }
        let segments: Vec<_> =
            path.strip_prefix("/v2/").map(|rest| rest.split('/').collect()).unwrap_or_default();
        match segments.as_slice() {
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads { name: parse_segments(name)? })
            }
            [name @ .., "blobs", "uploads", id] => {
                Ok(Self::Upload { name: parse_segments(name)?, id: parse_id(id)? })
            }
            [name @ .., "blobs", digest] => Ok(Self::Blob {
                name: parse_segments(name)?,
                digest: content::parse_digest(digest)?,
            }),
            [name @ .., "manifests", version] => {
                Ok(Self::Manifest { name: parse_segments(name)?, version: parse_version(version)? })
            }
            [name @ .., "tags", "list"] => Ok(Self::Tags { name: parse_segments(name)? }),
            [name @ .., "referrers", subject] => Ok(Self::Referrers {
                name: parse_segments(name)?,
                subject: content::parse_digest(subject)?,
            }),
            _ => Err(Failure::new(Code::NoRoute, "there is nothing at this path")),
        }
    }
}

fn parse_segments(segments: &[&str]) -> Result<String, Failure> {
    parse_name(&segments.join("/"))
}

/// Checks the name of a repository.
pub(super) fn parse_name(name: &str) -> Result<String, Failure> {
    match is_repository(name) && name.len() <= 255 {
        true => Ok(name.into()),
        false => Err(Failure::new(Code::NameInvalid, "this is not the name of a repository")),
    }
}

/// Checks a tag or a digest.
pub(super) fn parse_version(text: &str) -> Result<Version, Failure> {
    if text.contains(':') {
        return Ok(Version::Digest(content::parse_digest(text)?));
    }
    check_tag(text).map_err(|reason| Failure::new(Code::TagInvalid, reason))?;
    Ok(Version::Tag(text.into()))
}

/// Upload ids are ours: 32 hex digits. Anything else is unknown, and never a path.
fn parse_id(text: &str) -> Result<String, Failure> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.len() == 32 && text.bytes().all(is_hex) {
        true => Ok(text.into()),
        false => Err(Failure::new(Code::BlobUploadUnknown, "there is no such upload")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn a_path_is_read_from_its_end() {
        let digest: Digest = DIGEST.parse().unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let name = |name: &str| name.to_owned();
        let cases = [
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".into(), Route::Catalog),
            ("/v2/a/blobs/uploads/".into(), Route::Uploads { name: name("a") }),
            ("/v2/a/b/blobs/uploads".into(), Route::Uploads { name: name("a/b") }),
            (format!("/v2/a/blobs/uploads/{id}"), Route::Upload { name: name("a"), id: name(id) }),
            (
                format!("/v2/a/blobs/{DIGEST}"),
                Route::Blob { name: name("a"), digest: digest.clone() },
            ),
            (
                format!("/v2/x/blobs/uploads/blobs/{DIGEST}"),
                Route::Blob { name: name("x/blobs/uploads"), digest: digest.clone() },
            ),
            (
                "/v2/tags/list/manifests/list".into(),
                Route::Manifest { name: name("tags/list"), version: Version::Tag(name("list")) },
            ),
            (
                format!("/v2/a/manifests/{DIGEST}"),
                Route::Manifest { name: name("a"), version: Version::Digest(digest.clone()) },
            ),
            ("/v2/a/tags/list".into(), Route::Tags { name: name("a") }),
            (
                format!("/v2/a/referrers/{DIGEST}"),
                Route::Referrers { name: name("a"), subject: digest },
            ),
        ];
        for (path, route) in cases {
            assert_eq!(Route::parse(&path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn what_could_leave_the_root_is_no_route() {
        let bad = [
            "/v2/../../etc/manifests/v1",
            "/v2/a/../b/manifests/v1",
            "/v2/a/./b/manifests/v1",
            "/v2//manifests/v1",
            "/v2/manifests/v1",
            "/v2/A/manifests/v1",
            "/v2/_x/manifests/v1",
            "/v2/a/manifests/..",
            "/v2/a/manifests/sha256:..",
            "/v2/a/blobs/sha256:../../../../etc/passwd",
            "/v2/a/blobs/sha256:zz",
            "/v2/a/blobs/uploads/..",
            "/v2/a/blobs/uploads/../../x",
            "/v2/a/blobs/uploads/0123456789ABCDEF0123456789abcdef",
            "/v2/a%2f..%2fb/manifests/v1",
            "/v3/a/manifests/v1",
            "/",
        ];
        for path in bad {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }
}
