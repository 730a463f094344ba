//! The index of a layout: which manifests are here, and under which tags.

use std::collections::HashSet;

use fs_err as fs;
use serde_json::{Map, Value, json};

use super::Layout;
use super::scan::take_name;
use crate::content::{self, Descriptor, Digest, MediaType, REF_NAME};
use crate::{ContentError, Error, LayoutError, Reference, Result};

impl Layout {
    /// The manifest that a reference names. Of a reference with a digest the repository is not
    /// asked.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor> {
        let mut found = None;
        self.each_entry(|name, descriptor| {
            let is_it = match reference.digest() {
                Some(digest) => descriptor.digest() == digest,
                None => name.as_ref() == Some(reference),
            };
            if is_it && found.is_none() {
                found = Some(descriptor);
            }
        })?;
        match found {
            Some(descriptor) => Ok(descriptor),
            None => Err(LayoutError::UnknownReference {
                reference: Box::new(reference.clone()),
                root: self.root.clone(),
            }
            .into()),
        }
    }

    /// Every tag with its manifest, sorted.
    pub fn tags(&self) -> Result<Vec<(Reference, Descriptor)>> {
        let mut tags = Vec::new();
        self.each_entry(|name, descriptor| tags.extend(name.map(|name| (name, descriptor))))?;
        tags.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(tags)
    }

    /// Every manifest of the index once, tagged or not.
    pub fn manifests(&self) -> Result<Vec<Descriptor>> {
        let (mut seen, mut manifests) = (HashSet::new(), Vec::new());
        self.each_entry(|_, descriptor| {
            if seen.insert(descriptor.digest().clone()) {
                manifests.push(descriptor);
            }
        })?;
        Ok(manifests)
    }

    /// Gives a manifest a tag, and takes the tag from the manifest that had it, which stays without
    /// one. Refuses a manifest that reaches content which is not here.
    pub fn tag(&self, descriptor: &Descriptor, reference: &Reference) -> Result<()> {
        if reference.tag().is_none() {
            return Err(LayoutError::NoTag { reference: Box::new(reference.clone()) }.into());
        }
        let _hold = self.hold()?;
        self.check_complete(descriptor)?;
        self.change_index(|index| {
            index.take_tag(reference, Some(descriptor.digest()))?;
            index.insert(descriptor, Some(reference))
        })
    }

    /// Takes a tag away; its manifest stays, without a tag if this was the last. Says whether the
    /// tag was there.
    pub fn untag(&self, reference: &Reference) -> Result<bool> {
        self.change_index(|index| index.take_tag(reference, None))
    }

    /// Gives a manifest a place in the index without a tag, so that it is kept.
    /// Refuses a manifest that reaches content which is not here.
    pub fn add(&self, descriptor: &Descriptor) -> Result<()> {
        let _hold = self.hold()?;
        self.check_complete(descriptor)?;
        self.change_index(|index| index.insert(descriptor, None))
    }

    /// Takes a manifest and all its tags out of the index. Says whether it was there; its content
    /// goes with the next collection.
    pub fn remove(&self, digest: &Digest) -> Result<bool> {
        self.change_index(|index| {
            let before = index.manifests.len();
            index.retain(|entry| entry.descriptor.digest() != digest)?;
            Ok(index.manifests.len() < before)
        })
    }

    pub(super) fn init_index(&self) -> Result<()> {
        match self.index_path().exists() {
            true => Ok(()),
            false => self.change_index(|_| Ok(())),
        }
    }

    pub(crate) fn index_path(&self) -> std::path::PathBuf {
        self.root.join("index.json")
    }

    fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let _hold = self.hold()?;
        let _lock = self.lock_index()?;
        let mut index = self.read_index()?;
        let before = (index.manifests.clone(), self.index_path().exists());
        let answer = change(&mut index)?;
        if before != (index.manifests.clone(), true) {
            self.replace(&self.index_path(), &index.encode())?;
        }
        Ok(answer)
    }

    fn read_index(&self) -> Result<Index> {
        let path = self.index_path();
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Index::default());
            }
            bytes => bytes?,
        };
        let what = || path.display().to_string();
        let invalid = |source| Error::from(ContentError::InvalidDocument { what: what(), source });
        let mut document: Map<String, Value> = serde_json::from_slice(&bytes).map_err(invalid)?;
        let manifests = document.remove("manifests").unwrap_or_else(|| json!([]));
        let manifests = serde_json::from_value(manifests).map_err(invalid)?;
        Ok(Index { what: what(), document, manifests })
    }
}

/// An index as it was read: fields and annotations of other tools stay as they are.
#[derive(Default)]
struct Index {
    what: String,
    document: Map<String, Value>,
    manifests: Vec<Value>,
}

struct Entry {
    descriptor: Descriptor,
    reference: Option<Reference>,
}

impl Index {
    fn entries(&self) -> Result<Vec<Entry>> {
        self.manifests.iter().map(|value| self.entry(value)).collect()
    }

    fn entry(&self, value: &Value) -> Result<Entry> {
        let mut descriptor: Descriptor = serde_json::from_value(value.clone())
            .map_err(|source| ContentError::InvalidDocument { what: self.what.clone(), source })?;
        let reference = take_name(&mut descriptor);
        Ok(Entry { descriptor, reference })
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) -> Result<()> {
        let kept = self.entries()?.iter().map(keep).collect::<Vec<_>>();
        let mut kept = kept.into_iter();
        self.manifests.retain(|_| kept.next().unwrap_or(true));
        Ok(())
    }

    /// Takes a tag from whatever manifest has it, other than `but`; a manifest's last entry stays,
    /// without its name.
    fn take_tag(&mut self, reference: &Reference, but: Option<&Digest>) -> Result<bool> {
        let entries = self.entries()?;
        let has_it = |entry: &Entry| entry.reference.as_ref() == Some(reference);
        let Some(i) = entries
            .iter()
            .position(|entry| has_it(entry) && Some(entry.descriptor.digest()) != but)
        else {
            return Ok(false);
        };
        let of_it = |entry: &&Entry| entry.descriptor.digest() == entries[i].descriptor.digest();
        if entries.iter().filter(of_it).count() > 1 {
            self.manifests.remove(i);
        } else if let Some(annotations) = annotations_of(&mut self.manifests[i]) {
            annotations.remove(REF_NAME);
        }
        Ok(true)
    }

    /// Adds an entry, unless there is one; a manifest without a tag gets the first one in its
    /// place.
    fn insert(&mut self, descriptor: &Descriptor, reference: Option<&Reference>) -> Result<()> {
        let entries = self.entries()?;
        let mut of_it = entries
            .iter()
            .enumerate()
            .filter(|(_, it)| it.descriptor.digest() == descriptor.digest());
        let has_it = |entry: &Entry| reference.is_none() || entry.reference.as_ref() == reference;
        if of_it.clone().any(|(_, entry)| has_it(entry)) {
            return Ok(());
        }
        let nameless = of_it.find(|(i, _)| {
            self.manifests[*i].pointer("/annotations").and_then(|it| it.get(REF_NAME)).is_none()
        });
        let i = match nameless {
            Some((i, _)) => i,
            None => {
                self.manifests
                    .push(serde_json::to_value(descriptor).expect("descriptors have text keys"));
                self.manifests.len() - 1
            }
        };
        let Some(reference) = reference else { return Ok(()) };
        let entry = self.manifests[i].as_object_mut().expect("an entry was parsed as a descriptor");
        entry.entry("annotations").or_insert_with(|| json!({}))[REF_NAME] =
            reference.to_string().into();
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut document = self.document.clone();
        document.insert("schemaVersion".into(), 2.into());
        document.entry("mediaType").or_insert_with(|| MediaType::ImageIndex.to_string().into());
        document.insert("manifests".into(), self.manifests.clone().into());
        content::encode(&document)
    }
}

/// The annotations of an entry, if it has any.
fn annotations_of(entry: &mut Value) -> Option<&mut Map<String, Value>> {
    entry.get_mut("annotations")?.as_object_mut()
}
