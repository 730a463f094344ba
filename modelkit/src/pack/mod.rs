//! Packs: files into layers, layers and the Kitfile into a manifest.

mod documents;
mod index;
mod layer;
mod manifests;
mod mcpb;
mod modelpack;
mod options;
mod pieces;
mod plan;

use std::path::Path;

use documents::{Documents, documents};
use index::PackIndex;
use kitfile::Kitfile;
pub use layer::PackedLayer;
use layer::pack_layers;
pub use options::{PackOptions, ReadyLayer};
use plan::plan_without;
pub use plan::{LayerPlan, Plan, plan};
use registry::Layout;
use registry::content::{self, Descriptor, MediaType};

use crate::error::Result;
use crate::event::Listener;
use crate::kit::ModelKit;
use crate::parents::{in_layout, inherited_paths, parents, pin};

/// A ModelKit that was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its manifest.
    pub descriptor: Descriptor,
    /// Its layers, in the Kitfile's order.
    pub layers: Vec<PackedLayer>,
    /// What was left out without the Kitfile or the ignore file saying so.
    pub warnings: Vec<String>,
}

/// Packs what a Kitfile names of a context into a layout, and gives the manifest a place in the
/// layout's index, without a tag.
///
/// Where the model comes from another ModelKit, that one must be in the layout; it is named by its
/// digest from then on. The same files, Kitfile and options give the same manifest digest, whatever
/// the umask, the times and the order on disk.
pub fn pack(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    on: Listener<'_>,
) -> Result<Packed> {
    let _hold = layout.hold()?;
    pack_plan(plan(kitfile, context, layout, options)?, kitfile, layout, options, on)
}

/// The same for files that were planned before, by the same Kitfile and with the same options: what
/// was looked at in between is what is packed.
pub fn pack_plan(
    plan: Plan,
    kitfile: &Kitfile,
    layout: &Layout,
    options: &PackOptions,
    on: Listener<'_>,
) -> Result<Packed> {
    let _hold = layout.hold()?;
    let parents = parents(kitfile, in_layout(layout))?;
    let index = options.index.then(|| PackIndex::read(layout));
    let layers = pack_layers(&plan, Some(layout), &options.ready, index.as_ref(), on)?;
    let packer = Packer::default();
    let kitfile = finished(&plan.kitfile, &layers, &parents, layout, &packer)?;
    let manifests = manifests::layer(&options.manifests, Some(layout))?;
    let Documents { config, manifest } =
        documents(&kitfile, &layers, manifests, options, packer.version)?;
    let (media_type, config) = config;
    layout.put(media_type, &config)?;
    let descriptor = layout.put_manifest(MediaType::ImageManifest, &manifest)?;
    layout.add(&descriptor)?;
    if let Some(index) = index {
        index.write()?;
    }
    Ok(Packed { descriptor, layers, warnings: plan.warnings })
}

/// Says what [`pack()`] would give, from the files as they are now, and writes nothing.
pub fn digest(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    on: Listener<'_>,
) -> Result<Packed> {
    Ok(digest_as(&Packer::default(), kitfile, context, layout, options, on)?.packed)
}

/// The program that packs, where that shows: this one, or `kit`.
pub(crate) struct Packer<'a> {
    /// The version that the manifest names.
    pub(crate) version: &'a str,
    /// Whether references to other ModelKits become digests, which `kit` leaves as they are.
    pub(crate) pins: bool,
    /// The layer with manifests that it takes as it is, as no folder has its files.
    pub(crate) carried: Option<Descriptor>,
}

impl Default for Packer<'_> {
    fn default() -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), pins: true, carried: None }
    }
}

/// What would be packed, with its documents.
pub(crate) struct Digested {
    pub(crate) packed: Packed,
    pub(crate) kitfile: Kitfile,
    pub(crate) manifest: Vec<u8>,
}

/// Says what some program's packing would give.
pub(crate) fn digest_as(
    packer: &Packer<'_>,
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    on: Listener<'_>,
) -> Result<Digested> {
    let parents = parents(kitfile, in_layout(layout))?;
    let plan = plan_without(kitfile, context, options, &inherited_paths(&parents))?;
    let layers = pack_layers(&plan, None, &[], None, on)?;
    let kitfile = finished(&plan.kitfile, &layers, &parents, layout, packer)?;
    let manifests = match &packer.carried {
        Some(carried) => Some(carried.clone()),
        None => manifests::layer(&options.manifests, None)?,
    };
    let Documents { manifest, .. } =
        documents(&kitfile, &layers, manifests, options, packer.version)?;
    let descriptor = content::descriptor(MediaType::ImageManifest, &manifest);
    Ok(Digested {
        packed: Packed { descriptor, layers, warnings: plan.warnings },
        kitfile,
        manifest,
    })
}

/// The Kitfile as the ModelKit holds it: with the digests of its layers, and of the ModelKits it
/// builds on.
fn finished(
    kitfile: &Kitfile,
    layers: &[PackedLayer],
    parents: &[ModelKit],
    layout: &Layout,
    packer: &Packer<'_>,
) -> Result<Kitfile> {
    let mut kitfile = kitfile.clone();
    for (entry, layer) in kitfile.entries_mut().zip(layers) {
        *entry.digest = Some(layer.descriptor.digest().to_string());
        *entry.diff_id = Some(layer.diff_id.to_string());
    }
    if packer.pins {
        pin(&mut kitfile, parents, layout)?;
    }
    Ok(kitfile)
}
