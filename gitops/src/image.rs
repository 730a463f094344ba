//! The name of a container image, as manifests write it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, rules};

/// A container image as an object names it: `name[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    /// Registry and repository, `ghcr.io/org/server`.
    pub name: String,
    /// The tag, for the reader; the digest decides.
    pub tag: Option<String>,
    /// The digest, `sha256:…`.
    pub digest: Option<String>,
}

impl ImageRef {
    /// Whether the image is named by digest, so that it can never change behind the name.
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            |reason| Error::Grammar { what: "image reference", text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        rules::image_name(name).map_err(refuse)?;
        tag.map_or(Ok(()), rules::tag).map_err(refuse)?;
        digest.map_or(Ok(()), rules::digest).map_err(refuse)?;
        Ok(Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Splits a tag off: what follows a colon behind the last slash (a colon before it belongs to the
/// port).
pub(crate) fn split_tag(text: &str) -> (&str, Option<&str>) {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[last..].find(':') {
        Some(colon) => (&text[..last + colon], Some(&text[last + colon + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_is_the_inverse_of_parsing() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for text in [
            "nginx",
            "127.0.0.1:5000/demo/x",
            "127.0.0.1:5000/demo/x:1.0.0",
            &format!("h/x@{digest}"),
            &format!("h:1/x:t@{digest}"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
        let image: ImageRef = format!("127.0.0.1:5000/demo/x:1.0.0@{digest}").parse().unwrap();
        assert_eq!(
            (image.name.as_str(), image.tag.as_deref(), image.digest.as_deref()),
            ("127.0.0.1:5000/demo/x", Some("1.0.0"), Some(&*digest))
        );
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for bad in [
            "",
            ":tag",
            "x:",
            "x@sha256:00",
            "x y",
            "x:a b",
            "x@md5:00",
            "x\"y",
            "X",
            "a//b",
            "/a",
            "h:99999/x",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }
}
