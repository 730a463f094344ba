//! The versions of Flux that a repository can be written for.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::{Error, Result};

/// A minor version of Flux: what its API has follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FluxVersion {
    minor: u8,
}

impl FluxVersion {
    /// Those whose definitions are known, the oldest first.
    pub const ALL: [Self; 4] =
        [Self { minor: 7 }, Self { minor: 8 }, Self { minor: 9 }, Self { minor: 10 }];

    /// The newest of them.
    pub const NEWEST: Self = Self::ALL[Self::ALL.len() - 1];
}

impl Default for FluxVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for FluxVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2.{}", self.minor)
    }
}

impl FromStr for FluxVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut known = Self::ALL.into_iter();
        known.find(|version| version.to_string() == text).ok_or_else(|| Error::Grammar {
            what: "version of Flux",
            text: text.to_owned(),
            reason: "those that are known are 2.7, 2.8, 2.9 and 2.10",
        })
    }
}

impl<'de> Deserialize<'de> for FluxVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_print_as_they_are_read() {
        for version in FluxVersion::ALL {
            assert_eq!(version.to_string().parse::<FluxVersion>().unwrap(), version);
        }
        assert!("2.10".parse::<FluxVersion>().unwrap() > "2.9".parse().unwrap());
        assert_eq!(FluxVersion::default().to_string(), "2.10");
        for unknown in ["2.6", "2.11", "2", "v2.9", "2.9.5", ""] {
            let error = unknown.parse::<FluxVersion>().unwrap_err().to_string();
            assert!(error.contains("2.7, 2.8, 2.9 and 2.10"), "{error}");
        }
    }
}
