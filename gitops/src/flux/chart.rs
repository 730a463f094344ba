//! A Helm chart of the user's, which an application is an instance of.

use std::fmt;
use std::str::FromStr;

use super::SemverRange;
use crate::{Error, Result, rules};

/// A chart in a registry (`oci://HOST/PATH/CHART:VERSION`) or of a Helm repository
/// (`https://HOST/PATH/CHART:VERSION`); the version may be a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Where it is, without its name: `oci://HOST/PATH` or `https://HOST/PATH`.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// Its version, or a range of them.
    pub version: SemverRange,
    /// Whether the registry speaks plain HTTP; of a Helm repository its address says so.
    pub insecure: bool,
}

impl Chart {
    /// Whether it is in a registry.
    pub fn is_oci(&self) -> bool {
        self.repository.starts_with("oci://")
    }

    /// The host, with its port, that Flux asks.
    pub fn host(&self) -> &str {
        let rest = self.repository.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }
}

impl FromStr for Chart {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| Error::Grammar { what: "Helm chart", text: text.to_owned(), reason };
        const FORM: &str = "write oci://HOST/PATH/CHART:VERSION or https://HOST/PATH/CHART:VERSION";
        let (place, last) = text.rsplit_once('/').ok_or_else(|| refuse(FORM))?;
        let (name, version) = last.split_once(':').ok_or_else(|| refuse(FORM))?;
        let (scheme, rest) = place.split_once("://").ok_or_else(|| refuse(FORM))?;
        if !["oci", "https", "http"].contains(&scheme) {
            return Err(refuse(FORM));
        }
        if rest.chars().any(|c| c.is_whitespace() || c.is_control()) || rest.contains('@') {
            return Err(refuse("its address has no blanks and no credentials"));
        }
        rules::host(rest.split('/').next().unwrap_or_default()).map_err(refuse)?;
        rules::image_name(name).map_err(|_| refuse("its name has a-z, 0-9 and -"))?;
        let version = version.parse()?;
        Ok(Self { repository: place.to_owned(), name: name.to_owned(), version, insecure: false })
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.repository, self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_place_a_name_and_a_version() {
        for (good, host, is_oci) in [
            ("oci://ghcr.io/org/charts/server:1.2.0", "ghcr.io", true),
            ("oci://127.0.0.1:5000/server:>=1.0.0 <2.0.0", "127.0.0.1:5000", true),
            ("https://charts.example.com/stable/server:1.x", "charts.example.com", false),
        ] {
            let chart: Chart = good.parse().unwrap();
            assert_eq!(
                (chart.to_string().as_str(), chart.host(), chart.is_oci()),
                (good, host, is_oci)
            );
            assert_eq!(chart.name, "server");
        }
        for bad in [
            "server",
            "oci://host/server",
            "ftp://host/server:1.x",
            "https://u:p@host/server:1.x",
            "https://host/Server:1.x",
            "https://host/server:newest",
            "https:///server:1.x",
        ] {
            assert!(bad.parse::<Chart>().is_err(), "{bad}");
        }
    }
}
