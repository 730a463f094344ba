//! Paths inside of the folder that a Kitfile describes.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Error, Result};

/// The longest path that a file system takes, in bytes.
const MAX_LENGTH: usize = 4096;

/// A path inside the context folder: relative, cleaned (`./a//b/` is `a/b`), never climbing out.
///
/// The folder itself is `.`. Parts are separated by `/` on every system.
///
/// ```
/// use kitfile::ContextPath;
///
/// let path: ContextPath = "./data//train/".parse()?;
/// assert_eq!(path.as_str(), "data/train");
/// assert!("data/../..".parse::<ContextPath>().is_err());
/// # Ok::<(), kitfile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextPath(String);

impl ContextPath {
    /// The context folder itself.
    pub fn root() -> Self {
        Self(".".to_owned())
    }

    /// The path as text; `.` for the context folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the context folder itself.
    pub fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// Its parts in order; none for the context folder.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| *part != ".")
    }

    /// Whether it is `other` or lies beneath it, part by part: `data-v2` is not within `data`.
    pub fn is_within(&self, other: &Self) -> bool {
        let mut own = self.parts();
        other.parts().all(|part| own.next() == Some(part))
    }

    /// The folders that it lies in, inside the context folder, which comes last.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &str> {
        let folders = self.0.rmatch_indices('/').map(|(at, _)| &self.0[..at]);
        folders.chain((!self.is_root()).then_some("."))
    }

    /// The last part; none for the context folder.
    pub fn file_name(&self) -> Option<&str> {
        self.parts().next_back()
    }
}

impl FromStr for ContextPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let path = || text.to_owned();
        if text.starts_with('/') {
            return Err(Error::AbsolutePath { path: path() });
        }
        if text.len() > MAX_LENGTH {
            return Err(Error::PathLength { length: text.len() });
        }
        if text.contains('\0') {
            return Err(Error::PathCharacter { path: path() });
        }
        let mut parts = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(|| Error::PathOutside { path: path() })?),
                _ => parts.push(part),
            }
        }
        Ok(if parts.is_empty() { Self::root() } else { Self(parts.join("/")) })
    }
}

impl fmt::Display for ContextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContextPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for ContextPath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ContextPath {
        text.parse().expect("a path inside")
    }

    #[test]
    fn spellings_of_one_path_are_equal() {
        for text in ["a/b", "./a/b", "a/b/", "./a//b/./", "a/x/../b", ".//a/b"] {
            assert_eq!(path(text).as_str(), "a/b", "{text}");
        }
        for text in ["", ".", "./", "a/..", "././/"] {
            assert!(path(text).is_root(), "{text}");
        }
    }

    #[test]
    fn names_with_dots_in_them_stay_inside() {
        assert_eq!(path("a..b/..c").as_str(), "a..b/..c");
    }

    #[test]
    fn paths_that_leave_are_refused() {
        let long = "a/".repeat(3000);
        for text in ["/", "/etc/passwd", "..", "../a", "a/../../b", "./../a", "a\0b", &long] {
            assert!(text.parse::<ContextPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn within_goes_by_whole_parts() {
        assert!(path("data/x").is_within(&path("data")));
        assert!(path("data").is_within(&path("data")));
        assert!(path("data").is_within(&path(".")));
        assert!(!path("data-v2").is_within(&path("data")));
        assert!(!path(".").is_within(&path("data")));
    }
}
