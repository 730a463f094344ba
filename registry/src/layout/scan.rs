//! The entries of an index one after the other: however many there are, only one is held.

use std::fmt;
use std::io::BufReader;

use fs_err as fs;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};

use super::Layout;
use crate::content::{Descriptor, REF_NAME};
use crate::{ContentError, Reference, Result};

impl Layout {
    /// Looks at every entry of the index: its manifest, and its tag if it has one. A name that is
    /// no reference of ours belongs to another tool: the entry counts as untagged.
    pub(crate) fn each_entry(
        &self,
        mut look: impl FnMut(Option<Reference>, Descriptor),
    ) -> Result<()> {
        let path = self.index_path();
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
        let mut look = |mut descriptor: Descriptor| {
            let reference = take_name(&mut descriptor);
            look(reference, descriptor);
        };
        let scanned = reader.deserialize_map(Index(&mut look)).and_then(|()| reader.end());
        Ok(scanned.map_err(|source| ContentError::InvalidDocument {
            what: path.display().to_string(),
            source,
        })?)
    }
}

/// Takes the name that the index gives a manifest; the rest is the manifest's own.
pub(super) fn take_name(descriptor: &mut Descriptor) -> Option<Reference> {
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    let reference = annotations.remove(REF_NAME).and_then(|name| name.parse().ok());
    descriptor.set_annotations(Some(annotations).filter(|it| !it.is_empty()));
    reference
}

/// An index whose entries are looked at as they are read.
struct Index<'a>(&'a mut dyn FnMut(Descriptor));

impl<'de> Visitor<'de> for Index<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_there = false;
        while let Some(key) = map.next_key::<String>()? {
            if key != "manifests" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if is_there {
                return Err(A::Error::duplicate_field("manifests"));
            }
            is_there = true;
            map.next_value_seed(Entries(&mut *self.0))?;
        }
        Ok(())
    }
}

struct Entries<'a>(&'a mut dyn FnMut(Descriptor));

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of descriptors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let look = self.0;
        while let Some(descriptor) = entries.next_element::<Descriptor>()? {
            look(descriptor);
        }
        Ok(())
    }
}
