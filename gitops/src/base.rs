//! Bases that a kustomization names by the digest of an OCI artifact.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::tree::normalize;
use crate::{BoxError, Error, Result, Tree};

/// How an entry of `resources` or `components` begins that names an artifact.
const SCHEME: &str = "oci://";

/// An OCI artifact by its digest, whose files are a tree: `oci://HOST/REPOSITORY@ALGORITHM:HEX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OciArtifact {
    /// The registry and the repository in it, `ghcr.io/org/app`.
    pub repository: String,
    /// The digest of its manifest, `sha256:…`.
    pub digest: String,
}

/// Where the files of artifacts come from, which an embedder with a registry implements.
///
/// What it gives is taken as it is: it holds the files to the digest.
pub trait Bases: Send + Sync {
    /// The files of an artifact.
    fn fetch(&self, artifact: &OciArtifact) -> Result<Tree, BoxError>;
}

/// Whether an entry names an artifact of a registry.
pub(crate) fn is_oci(entry: &str) -> bool {
    entry.starts_with(SCHEME)
}

impl OciArtifact {
    /// The repository, as an origin names it.
    pub(crate) fn repository_url(&self) -> String {
        format!("{SCHEME}{}", self.repository)
    }

    /// Reads `oci://HOST/REPOSITORY@DIGEST//PATH`: the artifact, and the path within it.
    pub(crate) fn parse(entry: &str) -> Result<(Self, String)> {
        let wrong = |reason| Error::Grammar { what: "base", text: entry.to_owned(), reason };
        let rest = entry.strip_prefix(SCHEME).unwrap_or(entry);
        let (name, path) = rest.split_once("//").unwrap_or((rest, ""));
        if entry.contains(['?', '#']) {
            return Err(wrong("the path within the artifact follows //, and nothing follows that"));
        }
        let Some((repository, digest)) = name.split_once('@') else {
            return Err(wrong(
                "a tag may lead to other files tomorrow, so only a digest is taken: write oci://HOST/REPOSITORY@sha256:DIGEST//PATH",
            ));
        };
        if !is_digest(digest) {
            return Err(wrong("what follows @ is no digest: sha256: and 64 of 0-9a-f"));
        }
        // Beside a digest, a tag says nothing.
        let start = repository.rfind('/').unwrap_or_default();
        let end = repository[start..].find(':').map_or(repository.len(), |colon| start + colon);
        let repository = &repository[..end];
        let is_name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:[]".contains(&b))
        };
        let mut parts = repository.split('/');
        if parts.clone().count() < 2 || !parts.all(is_name) {
            return Err(wrong("it names no repository: HOST/REPOSITORY"));
        }
        let artifact = Self { repository: repository.to_owned(), digest: digest.to_owned() };
        Ok((artifact, normalize(path)?))
    }
}

fn is_digest(text: &str) -> bool {
    let is_hex = |hex: &str| hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.split_once(':') {
        Some(("sha256", hex)) => hex.len() == 64 && is_hex(hex),
        Some(("sha512", hex)) => hex.len() == 128 && is_hex(hex),
        _ => false,
    }
}

impl fmt::Display for OciArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}@{}", self.repository, self.digest)
    }
}

/// The artifacts that a tree's kustomizations have named so far: each is fetched once, and stays
/// for as long as the tree does.
#[derive(Clone)]
pub(crate) struct Fetched {
    by: Arc<dyn Bases>,
    first: Arc<Link>,
}

/// A list to which anybody may add, and from which nothing goes.
#[derive(Default)]
struct Link(OnceLock<Box<(OciArtifact, Outcome, Self)>>);

type Outcome = std::result::Result<Tree, Arc<dyn StdError + Send + Sync>>;

impl Fetched {
    pub(crate) fn new(by: Arc<dyn Bases>) -> Self {
        Self { by, first: Arc::default() }
    }

    /// The files of an artifact; one that failed once fails again.
    pub(crate) fn get(&self, artifact: &OciArtifact) -> Result<&Tree> {
        let mut link = &*self.first;
        loop {
            let (known, outcome, next) = &**link.0.get_or_init(|| {
                let outcome = self.by.fetch(artifact).map_err(Arc::from);
                Box::new((artifact.clone(), outcome, Link::default()))
            });
            if known != artifact {
                link = next;
                continue;
            }
            return outcome.as_ref().map_err(|source| Error::Base {
                artifact: Box::new(artifact.clone()),
                source: Arc::clone(source),
            });
        }
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetched")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_named_by_its_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (entry, repository, path) in [
            (
                format!("oci://ghcr.io/org/app@{digest}//deploy/./base"),
                "ghcr.io/org/app",
                "deploy/base",
            ),
            (format!("oci://localhost:5000/app@{digest}"), "localhost:5000/app", ""),
            (format!("oci://h:1/a/b:v1@{digest}//"), "h:1/a/b", ""),
        ] {
            let (artifact, found) = OciArtifact::parse(&entry).unwrap();
            assert_eq!((&*artifact.repository, &*found), (repository, path), "{entry}");
            assert_eq!(artifact.digest, digest);
        }
        for (entry, expected) in [
            ("oci://ghcr.io/org/app:v1//deploy".to_owned(), "only a digest is taken: write oci://"),
            ("oci://ghcr.io/org/app".to_owned(), "only a digest is taken"),
            ("oci://ghcr.io/org/app@sha256:abc//x".to_owned(), "is no digest"),
            (format!("oci://app@{digest}"), "names no repository"),
            (format!("oci://ghcr.io/../app x@{digest}"), "names no repository"),
            (format!("oci://ghcr.io/app@{digest}//a/../../b"), "leaves the tree"),
            (format!("oci://ghcr.io/app@{digest}//a?ref=b"), "nothing follows that"),
        ] {
            let error = OciArtifact::parse(&entry).unwrap_err().to_string();
            assert!(error.contains(expected), "{entry}: {error}");
        }
    }
}
