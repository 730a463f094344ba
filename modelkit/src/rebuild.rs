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
use crate::pack::{Maker, PackOptions, digest_as, seconds};

/// What packing a folder again gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The digest of the manifest that the folder gives.
    pub digest: Digest,
    /// Whether that is the ModelKit's own.
    pub same_manifest: bool,
    /// Whether it says the same as the ModelKit's own, written in another order as other programs
    /// do.
    pub equal_manifest: bool,
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
    /// Whether its blob is the same to the byte.
    pub same_blob: bool,
    /// Whether its content is the same before compression, which no two compressors do alike.
    pub same_content: bool,
}

impl Rebuilt {
    /// Whether the folder holds all that is in the ModelKit, and nothing else where its layers'
    /// paths point to.
    pub fn is_proven(&self) -> bool {
        self.same_manifest
            || self.same_kitfile && self.layers.iter().all(|layer| layer.same_content)
    }
}

/// Packs a folder again as the ModelKit says that it was packed, and compares. The ModelKits it
/// builds on must be in the layout.
///
/// `kitfile` is the folder's own, or [`ModelKit::kitfile`].
pub fn rebuild(
    kit: &ModelKit,
    kitfile: &Kitfile,
    dir: &Path,
    layout: &Layout,
    on: Listener<'_>,
) -> Result<Rebuilt> {
    let maker = Maker {
        version: kit.annotation(media_type::CLI_VERSION).unwrap_or_default(),
        pins: kit.kitfile.model.as_ref().is_none_or(|model| model.path.contains('@')),
    };
    let again = digest_as(kitfile, dir, layout, &options(kit), &maker, on)?;
    let value = |bytes: &[u8]| {
        let mut value = serde_json::from_slice::<Value>(bytes).ok()?;
        if let Some(layers) = value.get_mut("layers").filter(|layers| layers.is_null()) {
            *layers = Value::Array(Vec::new()); // so `kit` up to 1.15 writes no layers
        }
        Some(value)
    };
    let originals: Vec<_> = kit.layers().collect();
    let layers = originals.iter().zip(&again.packed.layers).map(|(original, again)| RebuiltLayer {
        section: original.section,
        path: original.path.to_string(),
        same_blob: original.descriptor.digest() == again.descriptor.digest(),
        same_content: match original.diff_id {
            Some(diff_id) => *diff_id == again.diff_id,
            None => original.descriptor.digest() == again.descriptor.digest(),
        },
    });
    let layers: Vec<_> = layers.collect();
    let same_number = originals.len() == again.packed.layers.len();
    Ok(Rebuilt {
        same_manifest: again.packed.descriptor.digest() == kit.descriptor.digest(),
        equal_manifest: value(&kit.manifest_bytes) == value(&again.manifest),
        same_kitfile: same_number && without_layers(&kit.kitfile) == without_layers(&again.kitfile),
        digest: again.packed.descriptor.digest().clone(),
        layers,
        warnings: again.packed.warnings,
    })
}

/// What a Kitfile says, without its layers' digests and as its paths are meant.
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
        kit.manifest.artifact_type().as_ref().map(ToString::to_string).unwrap_or_default();
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
        ready: Vec::new(),
    }
}
