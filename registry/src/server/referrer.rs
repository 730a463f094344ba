//! A manifest that has another one as its subject, as the list of that one's referrers has it.

use std::io::BufReader;
use std::path::PathBuf;

use fs_err as fs;
use serde::Deserialize;

use super::repository::read_descriptor;
use crate::content::{Descriptor, Digest, Document};
use crate::{ContentError, Result};

/// A manifest as the list of its subject's referrers shows it; `None` without a subject.
pub(super) fn referrer(descriptor: &Descriptor, document: &Document) -> Option<Descriptor> {
    document.subject.as_ref()?;
    let mut referrer = descriptor.clone();
    referrer.set_artifact_type(document.artifact_type.clone());
    referrer.set_annotations(document.annotations.clone());
    Some(referrer)
}

/// A manifest that has another one as its subject: its descriptor lies in a file.
pub(super) struct Referrer {
    pub(super) digest: Digest,
    pub(super) path: PathBuf,
    /// The size of the descriptor in bytes.
    pub(super) size: u64,
    /// The manifest's own file, which has its type too, and is never large.
    pub(super) link: PathBuf,
}

impl Referrer {
    /// Says whether it is of a type of artifact. Where only the descriptor tells, because another
    /// version wrote it, all that is not its type is passed over: it may be large.
    pub(super) fn is_of(&self, artifact_type: Option<&str>) -> Result<bool> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            artifact_type: Option<String>,
        }
        let Some(wanted) = artifact_type else { return Ok(true) };
        let found = read_descriptor(&self.link)?.and_then(|link| link.artifact_type().clone());
        if let Some(found) = found {
            return Ok(found.as_ref() == wanted);
        }
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            file => BufReader::new(file?),
        };
        let typed: Typed = serde_json::from_reader(file).map_err(|source| {
            ContentError::InvalidDocument { what: self.path.display().to_string(), source }
        })?;
        Ok(typed.artifact_type.as_deref() == Some(wanted))
    }
}
