//! The proof that a folder is what a ModelKit was packed from: it is packed again, and nothing is
//! written.

use std::path::Path;

use kitfile::{Kitfile, Section};
use registry::Layout;
use registry::content::Digest;
use serde_json::Value;

use crate::error::Result;
use crate::event::Listener;
use crate::kit::ModelKit;
use crate::media_type::{self, Compression, Family, Kind};
use crate::pack::{PackOptions, Packer, digest_as};
use crate::time::seconds;

/// What packing a folder again gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The digest of the manifest that the folder gives.
    pub digest: Digest,
    /// How like the ModelKit's own it is; other programs write the same in another order.
    pub manifest: Likeness,
    /// Whether the Kitfile says the same.
    pub same_kitfile: bool,
    /// The layers, in the Kitfile's order.
    pub layers: Vec<RebuiltLayer>,
    /// What was left out while packing.
    pub warnings: Vec<String>,
}

/// A layer that was packed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltLayer {
    /// Its section of the Kitfile.
    pub section: Section,
    /// Its path in the context.
    pub path: String,
    /// How like the ModelKit's own its blob is; no two compressors write the same content alike.
    pub blob: Likeness,
}

/// How like the original something is that was made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// The same to the byte.
    Identical,
    /// The same content, in other bytes.
    Equal,
    /// Other content.
    Different,
}

impl Likeness {
    fn of(is_equal: bool, is_identical: bool) -> Self {
        match (is_equal, is_identical) {
            (false, _) => Self::Different,
            (true, false) => Self::Equal,
            (true, true) => Self::Identical,
        }
    }
}

impl Rebuilt {
    /// Whether the folder holds all that is in the ModelKit, and nothing else where its layers'
    /// paths point to.
    pub fn is_proven(&self) -> bool {
        let is_same = |layer: &RebuiltLayer| layer.blob != Likeness::Different;
        self.manifest == Likeness::Identical || self.same_kitfile && self.layers.iter().all(is_same)
    }
}

/// Packs a folder again as the ModelKit says that it was packed, and compares. The ModelKits it
/// builds on must be in the layout.
///
/// Manifests for its deployment that the ModelKit carries are in no folder, and taken as they are.
///
/// `kitfile` is the folder's own, or [`ModelKit::kitfile`].
pub fn rebuild(
    kit: &ModelKit,
    kitfile: &Kitfile,
    dir: &Path,
    layout: &Layout,
    on: Listener<'_>,
) -> Result<Rebuilt> {
    let packer = Packer {
        version: kit.annotation(media_type::CLI_VERSION).unwrap_or_default(),
        pins: kit.kitfile().model.as_ref().is_none_or(|model| model.path.contains('@')),
        carried: kit.manifests().cloned(),
    };
    let again = digest_as(&packer, kitfile, dir, layout, &options(kit), on)?;
    let value = |bytes: &[u8]| {
        let mut value = serde_json::from_slice::<Value>(bytes).ok()?;
        if let Some(layers) = value.get_mut("layers").filter(|layers| layers.is_null()) {
            *layers = Value::Array(Vec::new()); // so `kit` up to 1.15 writes no layers
        }
        Some(value)
    };
    let originals: Vec<_> = kit.layers().collect();
    let layers = originals.iter().zip(&again.packed.layers).map(|(original, again)| {
        let is_identical = original.descriptor.digest() == again.descriptor.digest();
        let is_equal = original.diff_id.map_or(is_identical, |diff_id| *diff_id == again.diff_id);
        RebuiltLayer {
            section: original.section,
            path: original.path.to_string(),
            blob: Likeness::of(is_equal, is_identical),
        }
    });
    let layers: Vec<_> = layers.collect();
    let same_number = originals.len() == again.packed.layers.len();
    Ok(Rebuilt {
        manifest: Likeness::of(
            value(kit.manifest_bytes()) == value(&again.manifest),
            again.packed.descriptor.digest() == kit.digest(),
        ),
        same_kitfile: same_number
            && without_layers(kit.kitfile()) == without_layers(&again.kitfile),
        digest: again.packed.descriptor.digest().clone(),
        layers,
        warnings: again.packed.warnings,
    })
}

/// What a Kitfile says, without its layers' digests.
fn without_layers(kitfile: &Kitfile) -> Kitfile {
    let mut kitfile = kitfile.clone();
    for entry in kitfile.entries_mut() {
        (*entry.digest, *entry.diff_id) = (None, None);
    }
    kitfile
}

/// How the ModelKit was packed, by the look of its layers.
fn options(kit: &ModelKit) -> PackOptions {
    let first =
        kit.layers().map(|layer| layer.layer_type).find(|layer_type| layer_type.kind != Kind::Mcpb);
    let artifact_type =
        kit.manifest().artifact_type().as_ref().map(ToString::to_string).unwrap_or_default();
    PackOptions {
        compression: first.map_or(Compression::None, |first| first.compression),
        format: first.map_or_else(Default::default, |first| first.format),
        family: if media_type::is_modelpack(&artifact_type) {
            Family::ModelPack
        } else {
            Family::KitOps
        },
        created: kit.created().and_then(seconds),
        index: false,
        follow: None,
        ready: Vec::new(),
        manifests: Vec::new(),
    }
}
