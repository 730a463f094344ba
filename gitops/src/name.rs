//! Names that Kubernetes takes, and URLs that Flux can fetch from.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A name that Kubernetes takes anywhere: a DNS label (RFC 1123), at most 63 of `a-z 0-9 -`, a
/// letter or digit at both ends.
///
/// It is also safe as a path segment and as a plain YAML scalar behind a key that wants a text,
/// once quoted where it looks like a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse =
            |reason| Error::Grammar { what: "Kubernetes name", text: text.to_owned(), reason };
        if text.is_empty() || text.len() > 63 {
            return Err(refuse("it has 1 to 63 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(refuse("only a-z, 0-9 and - are allowed"));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(refuse("it starts and ends with a letter or a digit"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of a Git repository as Flux takes it: `https://`, `http://` or `ssh://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitUrl(String);

impl GitUrl {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GitUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| Error::Grammar {
            what: "Git URL for Flux",
            text: without_secret(text),
            reason,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refuse("Flux wants a scheme: write ssh://git@host/path for git@host:path"));
        };
        match scheme {
            "https" | "http" | "ssh" => {}
            "file" => {
                return Err(refuse(
                    "Flux takes no file://; a cluster cannot see this machine's folders",
                ));
            }
            _ => return Err(refuse("Flux takes only https://, http:// and ssh://")),
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || path.is_empty() {
            return Err(refuse("it has a host and a path"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refuse("it has no blanks"));
        }
        if scheme != "ssh" && host.contains('@') {
            return Err(refuse("credentials belong into a Secret, not into the URL"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The address without what stands before its host, which may be a password.
fn without_secret(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", host.rsplit_once('@').map_or(host, |(_, host)| host))
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "distilbert-app", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a.b", "../x", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_git_url_is_one_that_flux_takes() {
        for good in
            ["https://host/ml-infra.git", "http://127.0.0.1:8080/r", "ssh://git@host:22/org/r"]
        {
            good.parse::<GitUrl>().unwrap();
        }
        for bad in [
            "file:///srv/r.git",
            "git@host:org/r",
            "/srv/r",
            "ftp://host/r",
            "https://",
            "https://user:pw@host/r",
            "https://h/a b",
        ] {
            assert!(bad.parse::<GitUrl>().is_err(), "{bad}");
        }
        let error = "file:///srv/r.git".parse::<GitUrl>().unwrap_err().to_string();
        assert!(error.contains("Flux takes no file://"), "{error}");
        let error = "https://user:secret@host/r".parse::<GitUrl>().unwrap_err().to_string();
        assert!(error.contains("https://host/r") && !error.contains("secret"), "{error}");
    }
}
