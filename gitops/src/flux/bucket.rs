//! Where Flux takes files from that are in no Git repository: an artifact of a registry, or a bucket.

use std::fmt;
use std::str::FromStr;

use crate::{Error, OciSource, Result, SecretName, rules};

/// Where Flux takes an application's files from, in the place of the Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An artifact of a registry, which an `OCIRepository` follows.
    Oci(OciSource),
    /// A bucket, which a `Bucket` follows.
    Bucket(BucketSource),
}

/// A bucket of a server that speaks S3: `bucket://ENDPOINT/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSource {
    /// The server, `HOST` or `HOST:PORT`.
    pub endpoint: String,
    /// The bucket.
    pub name: String,
    /// Whether the server speaks plain HTTP.
    pub insecure: bool,
    /// The Secret in Flux' namespace with `accesskey` and `secretkey`; none for a bucket that anybody
    /// may read.
    pub secret: Option<SecretName>,
}

impl Source {
    /// The kind of the object that follows it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Oci(_) => "OCIRepository",
            Self::Bucket(_) => "Bucket",
        }
    }

    /// The host, with its port, that Flux asks.
    pub fn host(&self) -> &str {
        match self {
            Self::Oci(source) => source.artifact.name.split('/').next().unwrap_or_default(),
            Self::Bucket(bucket) => &bucket.endpoint,
        }
    }

    /// The same, reached in this way, with these credentials.
    pub fn with(self, insecure: bool, secret: Option<SecretName>) -> Self {
        match self {
            Self::Oci(source) => Self::Oci(OciSource { insecure, secret, ..source }),
            Self::Bucket(bucket) => Self::Bucket(BucketSource { insecure, secret, ..bucket }),
        }
    }
}

const BUCKET: &str = "bucket://";

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix(BUCKET) {
            return BucketSource::parse(rest).map(Self::Bucket).map_err(|reason| Error::Grammar {
                what: "bucket for Flux",
                text: text.to_owned(),
                reason,
            });
        }
        if !text.starts_with("oci://") {
            return Err(Error::Grammar {
                what: "source for Flux",
                text: text.to_owned(),
                reason: "write oci://HOST/REPO:TAG or bucket://ENDPOINT/BUCKET",
            });
        }
        OciSource::parse(text).map(Self::Oci)
    }
}

impl BucketSource {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (endpoint, name) = text.split_once('/').ok_or("write bucket://ENDPOINT/BUCKET")?;
        rules::host(endpoint)?;
        // The rules of S3 and its like, and the underscore that Google's allows.
        let is_one = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        let ends = bytes.first().zip(bytes.last()).is_some_and(|(a, b)| is_one(*a) && is_one(*b));
        let is_name = ends
            && (3..=222).contains(&name.len())
            && bytes.iter().all(|b| is_one(*b) || b"-._".contains(b));
        if !is_name {
            return Err(
                "the bucket's name has 3 letters, digits and - . _ at least, and nothing follows it: Flux takes a bucket as a whole",
            );
        }
        let (endpoint, name) = (endpoint.to_owned(), name.to_owned());
        Ok(Self { endpoint, name, insecure: false, secret: None })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci(source) => source.fmt(f),
            Self::Bucket(BucketSource { endpoint, name, .. }) => {
                write!(f, "{BUCKET}{endpoint}/{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_artifact_or_a_bucket() {
        for (good, kind, host) in [
            ("oci://host/a/b:latest", "OCIRepository", "host"),
            ("oci://host/a", "OCIRepository", "host"),
            ("bucket://s3.example.com/ml-infra", "Bucket", "s3.example.com"),
            ("bucket://127.0.0.1:9000/a.b", "Bucket", "127.0.0.1:9000"),
        ] {
            let source: Source = good.parse().unwrap();
            assert_eq!(
                (source.to_string().as_str(), source.kind(), source.host()),
                (good, kind, host)
            );
        }
        for bad in [
            "https://host/a",
            "bucket://host",
            "bucket:///a",
            "bucket://host/ab",
            "bucket://host/abc/d",
            "bucket://host/Abc",
            "bucket://h:0/abc",
            "oci://a:1",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}
