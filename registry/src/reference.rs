//! Names of manifests, in KitOps' grammar: `[registry/]repository[:tag][@digest]`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::content::{self, Digest};
use crate::error::without_userinfo;
use crate::{Error, Result};

/// The registry of a reference that names none: the local layout.
const LOCAL: &str = "localhost";
/// The repository of a reference that is only a digest.
const NAMELESS: &str = "_";
/// What a bare digest begins with, before its colon.
const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];
/// The longest `registry/repository`, in bytes (distribution-spec, "Pulling manifests").
const MAX_NAME: usize = 255;

/// A name for a manifest.
///
/// The first segment is a registry only if it has a `.` or a `:` in it, or is `localhost`, which is
/// also the registry of a reference without one. A bare digest stands in the repository `_`. Of
/// `tag@digest` the digest is kept: it says more.
///
/// ```
/// use kit_registry::Reference;
///
/// let reference: Reference = "ghcr.io/demo/greeting:v1".parse()?;
/// assert_eq!(reference.registry(), "ghcr.io");
/// assert_eq!((reference.repository(), reference.tag()), ("demo/greeting", Some("v1")));
/// assert!("demo/greeting:v1".parse::<Reference>()?.is_local());
/// # Ok::<(), kit_registry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Version {
    None,
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Names a tag of a repository of the local layout, as the embedded registry does.
    pub fn local(repository: &str, tag: &str) -> Result<Self> {
        let reference =
            Self { registry: LOCAL.into(), repository: repository.into(), version: Version::None };
        reference.check_name().map_err(|reason| refuse(repository, reason))?;
        reference.with_tag(tag)
    }

    /// Parses `[registry/]repository[:tag[,tag…]]`: several tags of one repository.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut parts = text.split(',');
        let first: Self = parts.next().unwrap_or_default().parse()?;
        let others = parts.map(|tag| match first.version {
            Version::Tag(_) => first.with_tag(tag),
            _ => Err(refuse(text, "only a tag can be followed by further tags")),
        });
        std::iter::once(Ok(first.clone())).chain(others).collect()
    }

    /// The registry's host, with its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, unless there is none or a digest in its place.
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(tag) => Some(tag),
            _ => None,
        }
    }

    /// The digest, if it names one.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.version {
            Version::Digest(digest) => Some(digest),
            _ => None,
        }
    }

    /// Says whether it names no registry but the local layout.
    pub fn is_local(&self) -> bool {
        self.registry == LOCAL
    }

    /// Says whether it names a registry.
    pub fn has_registry(&self) -> bool {
        !self.is_local()
    }

    /// Names a tag of the same repository.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        check_tag(tag).map_err(|reason| refuse(tag, reason))?;
        Ok(Self { version: Version::Tag(tag.into()), ..self.clone() })
    }

    /// Names a digest in the same repository, and no tag any more.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { version: Version::Digest(digest), ..self.clone() }
    }

    /// Names the tag `latest` where it names neither a tag nor a digest.
    pub fn or_latest(self) -> Self {
        match self.version {
            Version::None => Self { version: Version::Tag("latest".into()), ..self },
            _ => self,
        }
    }

    fn check_name(&self) -> Result<(), &'static str> {
        if self.registry.len() + 1 + self.repository.len() > MAX_NAME {
            return Err("the name is longer than 255 bytes");
        }
        check_host(&self.registry)?;
        match is_repository(&self.repository) || self.repository == NAMELESS {
            true => Ok(()),
            false => Err(
                "a repository is lower-case letters, digits and the separators `.`, `_`, `__`, `-` and `/`",
            ),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.contains("://") {
            let shown = without_userinfo(text);
            let name = shown.split_once("://").map_or("", |(_, name)| name);
            return Err(refuse(text, format!("a reference has no scheme: write {name}")));
        }
        if text.split_once(':').is_some_and(|(first, _)| ALGORITHMS.contains(&first)) {
            let version = Version::Digest(content::parse_digest(text)?);
            return Ok(Self { registry: LOCAL.into(), repository: NAMELESS.into(), version });
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(content::parse_digest(digest)?)),
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (LOCAL, name),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(tag).map_err(|reason| refuse(text, reason))?;
        }
        let version = match (digest, tag) {
            (Some(digest), _) => Version::Digest(digest),
            (None, Some(tag)) => Version::Tag(tag.into()),
            (None, None) => Version::None,
        };
        let reference = Self { registry: registry.into(), repository: repository.into(), version };
        reference.check_name().map_err(|reason| refuse(text, reason))?;
        Ok(reference)
    }
}

/// Says whether `name` is a repository's name (distribution-spec, "Pulling manifests"), and so also
/// a safe relative path.
pub(crate) fn is_repository(name: &str) -> bool {
    name.split('/').all(|component| {
        let bytes = component.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        ends.is_some_and(|(first, last)| is_plain(first) && is_plain(last))
            && bytes.split(is_plain).all(|separator| {
                matches!(separator, b"" | b"." | b"_" | b"__")
                    || separator.iter().all(|byte| *byte == b'-')
            })
    })
}

/// Checks a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(crate) fn check_tag(tag: &str) -> Result<(), &'static str> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let starts_well = tag.as_bytes().first().is_some_and(is_word);
    let goes_on_well = tag.bytes().all(|byte| is_word(&byte) || byte == b'.' || byte == b'-');
    match starts_well && goes_on_well && tag.len() <= 128 {
        true => Ok(()),
        false => Err(
            "a tag is up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two",
        ),
    }
}

fn is_registry(segment: &str) -> bool {
    segment == LOCAL || segment.contains(['.', ':'])
}

/// Checks a host name, an IPv4 address or an IPv6 address in brackets, with or without a port.
fn check_host(host: &str) -> Result<(), &'static str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let has_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_none_or(has_port) {
        return Err("the registry's port is not a number up to 65535");
    }
    let is_name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            allowed && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        }),
    };
    if is_name { Ok(()) } else { Err("the registry is not the name or address of a host") }
}

fn refuse(text: &str, reason: impl Into<String>) -> Error {
    Error::InvalidReference { text: without_userinfo(text), reason: reason.into() }
}

impl fmt::Display for Reference {
    /// Writes it as short as it can be read back: without `localhost/`, and a digest alone without
    /// `_@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (true, NAMELESS, Version::Digest(digest)) =
            (self.is_local(), &*self.repository, &self.version)
        {
            return write!(f, "{digest}");
        }
        let first = self.repository.split_once('/').map(|(first, _)| first);
        let looks_like_digest = self.tag().is_some() && ALGORITHMS.contains(&&*self.repository);
        if self.has_registry() || first.is_some_and(is_registry) || looks_like_digest {
            write!(f, "{}/", self.registry)?;
        }
        f.write_str(&self.repository)?;
        match &self.version {
            Version::None => Ok(()),
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(it: &Reference) -> (&str, &str, Option<&str>, Option<&str>) {
            (it.registry(), it.repository(), it.tag(), it.digest().map(AsRef::as_ref))
        }
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    /// Checks what a text means, how it is written back, and that the written form means the same.
    fn check(text: &str, [registry, repository, tag, digest, display]: [&str; 5]) {
        let it: Reference = text.parse().unwrap();
        let digest_found = it.digest().map_or("", |digest| digest.as_ref());
        let found =
            [it.registry(), it.repository(), it.tag().unwrap_or(""), digest_found, &it.to_string()];
        assert_eq!(found, [registry, repository, tag, digest, display], "{text}");
        assert_eq!(it.to_string().parse::<Reference>().unwrap(), it, "{text}");
    }

    #[test]
    fn references_follow_the_grammar_of_kitops() {
        check("ghcr.io/a/b:v1", ["ghcr.io", "a/b", "v1", "", "ghcr.io/a/b:v1"]);
        check(
            "127.0.0.1:5000/demo/m:1.0.0",
            ["127.0.0.1:5000", "demo/m", "1.0.0", "", "127.0.0.1:5000/demo/m:1.0.0"],
        );
        check("[::1]:5000/m", ["[::1]:5000", "m", "", "", "[::1]:5000/m"]);
        check("org/name:latest", ["localhost", "org/name", "latest", "", "org/name:latest"]);
        check("localhost/x:1", ["localhost", "x", "1", "", "x:1"]);
        check("localhost:5000/x", ["localhost:5000", "x", "", "", "localhost:5000/x"]);
        check("localhost:5000", ["localhost", "localhost", "5000", "", "localhost:5000"]);
        check("model", ["localhost", "model", "", "", "model"]);
        check("v1.2/x", ["v1.2", "x", "", "", "v1.2/x"]);
        check("localhost/v1.2/x", ["localhost", "v1.2/x", "", "", "localhost/v1.2/x"]);
        check(
            "localhost/localhost/x",
            ["localhost", "localhost/x", "", "", "localhost/localhost/x"],
        );
        check("localhost/sha256:1", ["localhost", "sha256", "1", "", "localhost/sha256:1"]);
        check("localhost/sha256", ["localhost", "sha256", "", "", "sha256"]);
        check(DIGEST, ["localhost", "_", "", DIGEST, DIGEST]);
        check(&format!("_@{DIGEST}"), ["localhost", "_", "", DIGEST, DIGEST]);
        let pinned = format!("r.io/a@{DIGEST}");
        check(&pinned, ["r.io", "a", "", DIGEST, &pinned]);
        check(&format!("r.io/a:tag@{DIGEST}"), ["r.io", "a", "", DIGEST, &pinned]);
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = "a".repeat(256);
        let bad = [
            "",
            ":",
            ":tag",
            "a:",
            "a/",
            "/a",
            "A/b",
            "a b",
            "a//b",
            "a/../b",
            "a/./b",
            "..",
            "a/-b",
            "a.-b",
            "a___b",
            "a_.b",
            "r.io:99999/a",
            "r.io:x/a",
            "[::g]/a",
            "[::1/a",
            "-r.io/a",
            "r..io/a",
            "a:-tag",
            "a:.tag",
            "a:t/ag",
            "a:b:c",
            "a,b:c",
            "a@sha256:0",
            "a@md5:00",
            "sha256:00",
            "sha256:../../etc",
            "https://r.io/a",
            "a:t@",
            "r.io/a\n",
            "é/a",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was taken for a reference");
        }
    }

    #[test]
    fn a_list_names_several_tags_of_one_repository() {
        let list = Reference::parse_list("r.io/a:1,2,latest").unwrap();
        assert_eq!(
            list.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["r.io/a:1", "r.io/a:2", "r.io/a:latest"]
        );
        assert!(Reference::parse_list("r.io/a,b").is_err());
        assert!(Reference::parse_list("r.io/a:1,").is_err());
    }

    #[test]
    fn tags_and_digests_replace_each_other() {
        let it: Reference = "r.io/a:1".parse().unwrap();
        let pinned = it.with_digest(DIGEST.parse().unwrap());
        assert_eq!(pinned.to_string(), format!("r.io/a@{DIGEST}"));
        assert_eq!(pinned.with_tag("2").unwrap().to_string(), "r.io/a:2");
        assert_eq!(pinned.clone().or_latest(), pinned);
        assert_eq!("r.io/a".parse::<Reference>().unwrap().or_latest().tag(), Some("latest"));
    }
}
