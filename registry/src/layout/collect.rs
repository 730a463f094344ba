//! Garbage collection: what no entry of the index reaches goes.

use std::collections::HashSet;

use fs_err as fs;
use serde_json::Value;

use super::Layout;
use crate::content::{self, Descriptor, Digest, MAX_DOCUMENT_SIZE, MediaType, is_manifest};
use crate::{ContentError, Error, LayoutError, Result};

/// What a garbage collection took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// The number of blobs.
    pub blobs: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

impl Layout {
    /// Removes every blob that no entry of the index reaches, tagged or not, and what killed
    /// writers left behind.
    ///
    /// [`LayoutError::InUse`] while somebody [holds](Self::hold) the layout: their content is not named
    /// yet.
    /// What is `kept` stays too: a registry knows of content that the index does not name yet.
    pub fn collect_garbage(&self, kept: impl IntoIterator<Item = Digest>) -> Result<Collected> {
        let _alone = self.hold_alone()?;
        let mut reachable = self.reachable()?;
        reachable.extend(kept);
        for file in fs::read_dir(self.root.join("ingest"))? {
            fs::remove_file(file?.path())?;
        }
        let mut collected = Collected::default();
        for algorithm in ["sha256", "sha512"] {
            self.sweep(algorithm, &reachable, &mut collected)?;
        }
        Ok(collected)
    }

    fn sweep(
        &self,
        algorithm: &str,
        reachable: &HashSet<Digest>,
        collected: &mut Collected,
    ) -> Result<()> {
        let dir = self.root.join("blobs").join(algorithm);
        if !dir.exists() {
            return Ok(());
        }
        for file in fs::read_dir(dir)? {
            let file = file?;
            let name = file.file_name();
            let digest = name
                .to_str()
                .and_then(|hex| content::parse_digest(&format!("{algorithm}:{hex}")).ok());
            if digest.is_some_and(|digest| !reachable.contains(&digest)) {
                let size = file.metadata()?.len();
                fs::remove_file(file.path())?;
                collected.blobs += 1;
                collected.bytes += size;
            }
        }
        Ok(())
    }

    /// Everything that an entry of the index reaches. A document that is damaged is an error: what
    /// it named cannot be known.
    fn reachable(&self) -> Result<HashSet<Digest>> {
        let mut reachable = HashSet::new();
        let mut documents = HashSet::new();
        let mut waiting = self.manifests()?;
        while let Some(document) = waiting.pop() {
            reachable.insert(document.digest().clone());
            if !documents.insert(document.digest().clone()) {
                continue;
            }
            for descriptor in self.named_by(&document)? {
                reachable.insert(descriptor.digest().clone());
                if may_name_others(descriptor.media_type()) {
                    waiting.push(descriptor);
                }
            }
        }
        Ok(reachable)
    }

    /// Every descriptor in a document, wherever it stands: so also in kinds of manifests that are
    /// unknown here.
    fn named_by(&self, document: &Descriptor) -> Result<Vec<Descriptor>> {
        if document.size() > MAX_DOCUMENT_SIZE && !is_manifest(document.media_type()) {
            return Ok(Vec::new());
        }
        let bytes = match self.read(document) {
            Err(Error::Layout(LayoutError::MissingBlob { .. })) => return Ok(Vec::new()),
            bytes => bytes?,
        };
        let mut found = Vec::new();
        match serde_json::from_slice(&bytes) {
            Ok(value) => descriptors_in(&value, &mut found),
            Err(_) if !is_manifest(document.media_type()) => {}
            Err(source) => {
                return Err(ContentError::InvalidDocument {
                    what: document.digest().to_string(),
                    source,
                }
                .into());
            }
        }
        Ok(found)
    }
}

fn may_name_others(media_type: &MediaType) -> bool {
    is_manifest(media_type)
        || media_type.as_ref().contains("manifest")
        || media_type.as_ref().contains("index")
}

fn descriptors_in(value: &Value, found: &mut Vec<Descriptor>) {
    match value {
        Value::Object(map) => {
            found.extend(serde_json::from_value(value.clone()));
            map.values().for_each(|value| descriptors_in(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| descriptors_in(value, found)),
        _ => {}
    }
}
