//! The mount face: a second manifest over a ModelKit's own blobs, by which a node mounts it.
//!
//! A ModelKit's layers are archives already; only the media types in its manifest are none that a
//! container runtime unpacks. So the face names the same blobs by those of images, beside a config
//! with their diff_ids and a layer of a few KB with the Kitfile and the ModelKit's manifest, by which
//! whoever serves the folder can tell its digest. Its `subject` is the ModelKit.

use std::collections::HashMap;

use registry::Layout;
use registry::content::{self, ConfigBuilder, Descriptor, Digest, ImageManifest};

use super::binary::host;
use super::build::{configuration, document_layer, kit_layers, labels, put};
use crate::error::Result;
use crate::filter::Filter;
use crate::kit::{ModelKit, parse_manifest};

/// The annotation of a manifest that is the mount face of the ModelKit with this digest.
pub const MOUNT_FACE: &str = "ml.kitops.modelkit.mount-face";

/// What of a ModelKit is mounted, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaceOptions {
    /// Layers to take in beside those of the model.
    pub include: Vec<Filter>,
    /// The processor of the nodes, by OCI's name; none: this machine's. A node takes only what is
    /// for its own kind.
    pub architecture: Option<String>,
}

/// Makes the mount face of a ModelKit in the layout that holds it. The same ModelKit and options
/// always give the same one.
pub fn mount_face(kit: &ModelKit, layout: &Layout, options: &FaceOptions) -> Result<Descriptor> {
    let _hold = layout.hold()?;
    let layers = kit_layers(kit, layout, &options.include)?;
    let config = ConfigBuilder::default().labels(labels(kit, None));
    let architecture = options.architecture.clone().unwrap_or_else(host);
    let config = configuration(config, &architecture, None, &layers);
    let digest = kit.digest().to_string();
    put(layout, &config, layers, |manifest| {
        manifest
            .subject(kit.descriptor().clone())
            .annotations(HashMap::from([(MOUNT_FACE.to_owned(), digest)]))
    })
}

/// Whether a manifest is the mount face of a ModelKit: it says so, and it mounts the ModelKit's
/// documents, its whole model, and nothing that is not the ModelKit's. `model` are the layers of the
/// model, those of what it builds on among them. Whoever may write to a repository can say of any
/// manifest that it is one.
pub fn is_face_of(
    manifest: &[u8],
    kit: &ModelKit,
    model: &[Digest],
    layout: &Layout,
) -> Result<bool> {
    let manifest = parse_manifest(&content::digest(manifest), manifest)?;
    let _hold = layout.hold()?;
    let documents = document_layer(layout, kit)?.descriptor.digest().clone();
    let [first, rest @ ..] = manifest.layers().as_slice() else { return Ok(false) };
    let mounted: Vec<&Digest> = rest.iter().map(Descriptor::digest).collect();
    let is_of_kit = |digest: &Digest| {
        model.contains(digest) || kit.layers().any(|layer| layer.descriptor.digest() == digest)
    };
    Ok(says(&manifest, kit.digest())
        && *first.digest() == documents
        && model.iter().all(|digest| mounted.contains(&digest))
        && mounted.iter().all(|digest| is_of_kit(digest)))
}

fn says(manifest: &ImageManifest, kit: &Digest) -> bool {
    let annotations = manifest.annotations().as_ref();
    let named = annotations.and_then(|it| it.get(MOUNT_FACE));
    let subject = manifest.subject().as_ref().map(Descriptor::digest);
    named.is_some_and(|of| of == kit.as_ref()) && subject == Some(kit)
}
