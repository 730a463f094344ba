//! Names of repositories on a hub.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::{Error, HubError, without_userinfo};

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepoKind {
    /// A model.
    Model,
    /// A dataset.
    Dataset,
}

/// The name of a repository: `org/name`, `datasets/org/name`, or the address of its page on any
/// hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoId {
    kind: RepoKind,
    name: String,
    endpoint: Option<String>,
    revision: Option<String>,
}

impl RepoId {
    /// What the repository holds.
    pub fn kind(&self) -> RepoKind {
        self.kind
    }

    /// `org/name`; some old models have no organisation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hub, when the name was an address.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The revision, when the address was that of a tree: `…/tree/main`.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// The part of the API's addresses that names this repository.
    pub(super) fn api_path(&self) -> String {
        match self.kind {
            RepoKind::Model => format!("api/models/{}", self.name),
            RepoKind::Dataset => format!("api/datasets/{}", self.name),
        }
    }
}

/// The name as pages on a hub have it.
impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RepoKind::Model => write!(f, "{}", self.name),
            RepoKind::Dataset => write!(f, "datasets/{}", self.name),
        }
    }
}

impl FromStr for RepoId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| {
            Error::from(HubError::InvalidRepoId {
                text: without_userinfo(text),
                reason: reason.to_owned(),
            })
        };
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return parse_path(text, None).map_err(refuse);
        }
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("a name or password does not belong into it"));
        }
        parse_path(url.path().trim_matches('/'), Some(url.origin().ascii_serialization()))
            .map_err(refuse)
    }
}

fn parse_path(path: &str, endpoint: Option<String>) -> Result<RepoId, &'static str> {
    let (path, revision) = match path.split_once("/tree/") {
        Some((path, revision)) if endpoint.is_some() && !revision.is_empty() => {
            (path, Some(revision.to_owned()))
        }
        _ => (path, None),
    };
    let (kind, name) = match path.split_once('/') {
        Some(("datasets", name)) => (RepoKind::Dataset, name),
        Some(("models", name)) if name.contains('/') => (RepoKind::Model, name),
        Some(("spaces", _)) => return Err("spaces hold programs, not models or datasets"),
        _ => (RepoKind::Model, path),
    };
    if name.split('/').count() > 2 {
        return Err("it has more parts than `org/name`");
    }
    match name.split('/').all(is_segment) {
        true => Ok(RepoId { kind, name: name.to_owned(), endpoint, revision }),
        false => Err(
            "a part is letters, digits, `.`, `_` and `-`, and begins with a letter, a digit or `_`",
        ),
    }
}

/// Only such a part becomes a part of an address or a path.
fn is_segment(segment: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=96).contains(&segment.len())
        && segment.chars().all(is_part)
        && !segment.starts_with(['.', '-'])
        && !segment.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, Option<&str>, Option<&str>), &str>) {
        match (text.parse::<RepoId>(), expected) {
            (Ok(id), Ok((shown, endpoint, revision))) => {
                assert_eq!(
                    (id.to_string().as_str(), id.endpoint(), id.revision()),
                    (shown, endpoint, revision),
                    "{text}"
                );
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn names_and_addresses_are_read() {
        check("org/name", Ok(("org/name", None, None)));
        check("gpt2", Ok(("gpt2", None, None)));
        check("datasets/org/name", Ok(("datasets/org/name", None, None)));
        check("models/org/name", Ok(("org/name", None, None)));
        check("https://hub.test/org/name", Ok(("org/name", Some("https://hub.test"), None)));
        check(
            "http://127.0.0.1:8080/org/name/",
            Ok(("org/name", Some("http://127.0.0.1:8080"), None)),
        );
        check(
            "https://hub.test/datasets/o/n/tree/refs/pr/1",
            Ok(("datasets/o/n", Some("https://hub.test"), Some("refs/pr/1"))),
        );
    }

    #[test]
    fn other_texts_are_refused() {
        check("", Err("a part is"));
        check("org/", Err("a part is"));
        check("../etc", Err("a part is"));
        check("a..b/c", Err("a part is"));
        check("org/na me", Err("a part is"));
        check("a/b/c", Err("more parts"));
        check("spaces/a/b", Err("programs"));
        check("https://user:pw@hub.test/a/b", Err("password"));
    }
}
