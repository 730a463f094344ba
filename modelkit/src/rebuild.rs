//! The proof that a folder is what a ModelKit was packed from: it is packed again, and nothing is written.

use std::path::Path;

use kitfile::Section;
use registry::Layout;
use registry::content::Digest;
use serde_json::Value;

use crate::error::Result;
use crate::event::Listener;
use crate::kit::ModelKit;
use crate::media_type::{Compression, Family, Kind};
use crate::pack::{PackOptions, digest_as, seconds};

/// What packing a folder again gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The digest of the manifest that the folder gives.
    pub digest: Digest,
    /// Whether that is the ModelKit's own.
    pub same_manifest: bool,
    /// Whether it says the same as the ModelKit's own, written in another order as other programs do.
    pub equal_manifest: bool,
    /// Whether the Kitfile is the same.
    pub same_config: bool,
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
    /// Whether the folder holds all that is in the ModelKit, and nothing else where its layers' paths point to.
    pub fn is_proven(&self) -> bool {
        self.same_config_or_content() && self.layers.iter().all(|layer| layer.same_content)
    }

    /// A config names the digests of compressed layers, so these may make it differ.
    fn same_config_or_content(&self) -> bool {
        self.same_config || self.layers.iter().any(|layer| layer.same_content && !layer.same_blob)
    }
}

/// Packs a folder again as the ModelKit says that it was packed, and compares. The ModelKits it builds on must be in the layout.
pub fn rebuild(kit: &ModelKit, dir: &Path, layout: &Layout, on: Listener<'_>) -> Result<Rebuilt> {
    let version = kit.annotation(crate::media_type::CLI_VERSION).unwrap_or(env!("CARGO_PKG_VERSION"));
    let (packed, manifest) = digest_as(&kit.kitfile, dir, layout, &options(kit), version, on)?;
    let originals = kit.layers();
    let layers = originals.zip(&packed.layers).map(|(original, again)| RebuiltLayer {
        section: original.section,
        path: original.path.to_string(),
        same_blob: original.descriptor.digest() == again.descriptor.digest(),
        same_content: match original.diff_id {
            Some(diff_id) => *diff_id == again.diff_id,
            None => original.descriptor.digest() == again.descriptor.digest(),
        },
    });
    let (theirs, ours): (Option<Value>, Option<Value>) =
        (serde_json::from_slice(&kit.manifest_bytes).ok(), serde_json::from_slice(&manifest).ok());
    Ok(Rebuilt {
        same_manifest: packed.descriptor.digest() == kit.descriptor.digest(),
        equal_manifest: theirs.is_some() && theirs == ours,
        same_config: theirs.as_ref().and_then(|it| it.pointer("/config/digest"))
            == ours.as_ref().and_then(|it| it.pointer("/config/digest")),
        layers: layers.collect(),
        digest: packed.descriptor.digest().clone(),
        warnings: packed.warnings,
    })
}

/// How the ModelKit was packed, by the look of its layers.
fn options(kit: &ModelKit) -> PackOptions {
    let first = kit.layers().map(|layer| layer.layer_type).find(|layer_type| layer_type.kind != Kind::Mcpb);
    let artifact_type = kit.manifest.artifact_type().as_ref().map(ToString::to_string).unwrap_or_default();
    PackOptions {
        compression: first.map_or(Compression::None, |first| first.compression),
        format: first.map_or_else(Default::default, |first| first.format),
        family: if crate::media_type::is_modelpack(&artifact_type) { Family::ModelPack } else { Family::KitOps },
        created: kit.created().and_then(seconds),
        index: false,
    }
}
