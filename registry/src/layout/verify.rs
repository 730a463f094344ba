//! The proof that content is what its descriptors say.

use std::collections::HashSet;

use super::graph::is_elsewhere;
use super::writer::hash_file;
use super::{Layout, check_digest};
use crate::content::{Descriptor, Hasher, is_manifest};
use crate::{Error, LayoutError, Result};

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is as its descriptor says.
    pub checked: Vec<Descriptor>,
    /// What is not: each names the blob and its path.
    pub problems: Vec<Error>,
}

impl Layout {
    /// Hashes a manifest and everything that it reaches, and reports every blob that is not what
    /// its descriptor says.
    pub fn verify(&self, root: &Descriptor) -> Result<Verified> {
        let mut verified = Verified::default();
        let mut seen = HashSet::new();
        let mut waiting = vec![root.clone()];
        while let Some(descriptor) = waiting.pop() {
            if !seen.insert(descriptor.digest().clone()) {
                continue;
            }
            match self.verify_one(&descriptor) {
                Ok(children) => {
                    waiting.extend(children.into_iter().rev());
                    verified.checked.push(descriptor);
                }
                Err(Error::Layout(LayoutError::MissingBlob { .. }))
                    if is_elsewhere(&descriptor) => {}
                Err(problem) => verified.problems.push(problem),
            }
        }
        Ok(verified)
    }

    /// Hashes one blob; of a manifest it returns what it names.
    fn verify_one(&self, descriptor: &Descriptor) -> Result<Vec<Descriptor>> {
        if is_manifest(descriptor.media_type()) {
            return Ok(self.document(descriptor)?.children().cloned().collect());
        }
        self.check_content(descriptor)?;
        Ok(Vec::new())
    }

    /// Hashes a blob, and compares.
    pub(crate) fn check_content(&self, descriptor: &Descriptor) -> Result<()> {
        let path = self.check_size(descriptor)?;
        let mut hasher = Hasher::new(descriptor.digest().algorithm())?;
        hash_file(&path, &mut hasher)?;
        check_digest(descriptor.digest(), hasher.finish(), &path)
    }
}
