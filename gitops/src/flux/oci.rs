//! The artifact in a registry that Flux takes files from, in the place of a Git repository.

use std::fmt;
use std::str::FromStr;

use super::SemverRange;
use crate::{Error, ImageRef, Result, SecretName};

/// An artifact of files in a registry, as an `OCIRepository` follows it: `oci://HOST/REPOSITORY:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciSource {
    /// Registry and repository with the tag that is followed, or the digest that stays.
    pub artifact: ImageRef,
    /// Whether the registry speaks plain HTTP.
    pub insecure: bool,
    /// The Secret in Flux' namespace for a private registry.
    pub secret: Option<SecretName>,
    /// The range of versions whose newest is followed, in the place of a tag.
    pub semver: Option<SemverRange>,
    /// The media type of the layer that is taken; none: the first one. A ModelKit that carries
    /// manifests has them in a layer of [`FLUX_CONTENT`].
    pub layer: Option<String>,
}

/// The media type of what Flux packs a folder as.
pub const FLUX_CONTENT: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

impl FromStr for OciSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let source = Self::parse(text)?;
        if source.artifact.tag.is_none() && source.artifact.digest.is_none() {
            return Err(Error::Grammar {
                what: "registry source for Flux",
                text: text.to_owned(),
                reason: "it has a tag, which Flux follows, or a digest",
            });
        }
        Ok(source)
    }
}

impl OciSource {
    /// Reads one that may name neither a tag nor a digest.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let refuse = |reason| Error::Grammar {
            what: "registry source for Flux",
            text: text.to_owned(),
            reason,
        };
        let rest = text.strip_prefix("oci://").ok_or_else(|| refuse("it begins with oci://"))?;
        let artifact: ImageRef = rest.parse()?;
        if !artifact.name.contains('/') {
            return Err(refuse("it has a host and a path"));
        }
        Ok(Self { artifact, insecure: false, secret: None, semver: None, layer: None })
    }
}

impl fmt::Display for OciSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}", self.artifact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_has_a_place_and_a_name() {
        for good in ["oci://host/a/b:latest", "oci://127.0.0.1:5000/a:1"] {
            assert_eq!(good.parse::<OciSource>().unwrap().to_string(), good);
        }
        for bad in ["host/a:1", "oci://a:1", "oci://host/a", "oci://host/A:1", "https://host/a:1"] {
            assert!(bad.parse::<OciSource>().is_err(), "{bad}");
        }
    }
}
