//! What a command is given that takes a ModelKit or a folder.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use registry::Reference;

/// A ModelKit or a folder; the spelling alone says which, whatever lies around.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Reference(Reference),
    Folder(PathBuf),
}

impl FromStr for Target {
    type Err = registry::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.starts_with(['.', '/']) {
            true => Ok(Self::Folder(
                PathBuf::from_str(text).unwrap_or_else(|it: Infallible| match it {}),
            )),
            false => text.parse().map(Self::Reference),
        }
    }
}
