//! The files of a layer into its blob.

use std::collections::HashMap;

use kitfile::Section;
use registry::Layout;
use registry::content::{self, Descriptor, Digest, Hasher};
use serde_json::json;

use super::index::PackIndex;
use super::options::ReadyLayer;
use super::plan::{LayerPlan, Plan};
use super::{mcpb, pieces};
use crate::archive::{self, Content, Entry};
use crate::compress::{Encoder, Sink, WrittenBlob};
use crate::error::{Error, Result, is_cancelled};
use crate::event::{Listener, Reporter, side_by_side};
use crate::media_type::{self, Compression, Family, Format};

/// A layer that was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// Its section of the Kitfile.
    pub section: Section,
    /// Its blob.
    pub descriptor: Descriptor,
    /// Digest of its bytes before compression.
    pub diff_id: Digest,
    /// Number of files in it.
    pub n_files: usize,
    /// Whether it was in the layout already, and its files were not read.
    pub is_reused: bool,
}

/// Packs all layers, side by side; without a layout they are only hashed.
pub(super) fn pack_layers(
    plan: &Plan,
    layout: Option<&Layout>,
    ready: &[ReadyLayer],
    index: Option<&PackIndex<'_>>,
    on: Listener<'_>,
) -> Result<Vec<PackedLayer>> {
    if let Some(lost) =
        ready.iter().find(|ready| !plan.layers.iter().any(|layer| layer.path == ready.path))
    {
        return Err(Error::NotReady { path: lost.path.to_string() });
    }
    // Small files cost more than their bytes.
    let sizes: Vec<u64> =
        plan.layers.iter().map(|layer| layer.bytes + 8192 * layer.n_files as u64).collect();
    side_by_side(&sizes, on, |index_of, reporter| {
        let layer = &plan.layers[index_of];
        let ready = ready.iter().find(|ready| ready.path == layer.path);
        pack_layer(layer, layout, ready, index, reporter).map_err(|error| match error {
            Error::File(error) if is_cancelled(&error) => Error::Cancelled,
            error => error,
        })
    })
}

fn pack_layer(
    plan: &LayerPlan,
    layout: Option<&Layout>,
    ready: Option<&ReadyLayer>,
    index: Option<&PackIndex<'_>>,
    reporter: &Reporter<'_>,
) -> Result<PackedLayer> {
    reporter.started(plan.section, &plan.path, plan.bytes);
    let known = match ready {
        Some(ready) => Some(take_ready(ready, plan, layout)?),
        None => index.and_then(|index| index.find(plan)),
    };
    let is_reused = known.is_some();
    let blob = match known {
        Some(blob) => blob,
        None => {
            let blob = write_layer(plan, layout, reporter)?;
            if let Some(index) = index {
                index.note(plan, &blob);
            }
            blob
        }
    };
    let WrittenBlob { digest, size, diff_id } = blob;
    let mut descriptor = Descriptor::new(plan.media_type.as_str().into(), size, digest);
    descriptor.set_annotations(Some(annotations(plan)));
    reporter.done(&descriptor);
    Ok(PackedLayer { section: plan.section, descriptor, diff_id, n_files: plan.n_files, is_reused })
}

/// The blob of a layer that was made elsewhere, if it can be what packing would make.
fn take_ready(
    ready: &ReadyLayer,
    plan: &LayerPlan,
    layout: Option<&Layout>,
) -> Result<WrittenBlob> {
    let is_plain =
        plan.layer_type.format == Format::Tar && plan.layer_type.compression == Compression::None;
    let is_file = plan.files.last().is_some_and(|file| file.path == plan.path.as_str());
    let fits = is_plain
        && is_file
        && archive::around(&plan.files)?.is_some()
        && archive::size(&plan.files) == ready.size;
    match layout.and_then(|layout| layout.size(&ready.digest)) {
        Some(size) if fits && size == ready.size => {
            Ok(WrittenBlob::uncompressed(ready.digest.clone(), ready.size))
        }
        _ => Err(Error::NotReady { path: ready.path.to_string() }),
    }
}

fn write_layer(
    plan: &LayerPlan,
    layout: Option<&Layout>,
    reporter: &Reporter<'_>,
) -> Result<WrittenBlob> {
    let raw = match plan.layer_type.format {
        Format::Tar => None,
        Format::Raw => Some(single_file(plan)),
    };
    if let (Section::McpServer, Some(source)) = (plan.section, raw.and_then(Entry::source)) {
        mcpb::check(&source)?;
    }
    if plan.layer_type.compression == Compression::None {
        let (digest, size) = pieces::write(&plan.files, raw, layout, reporter)?;
        return Ok(WrittenBlob::uncompressed(digest, size));
    }
    let sink = match layout {
        Some(layout) => Sink::Blob(layout.writer()?),
        None => Sink::Nowhere(Hasher::default(), 0),
    };
    let mut encoder = Encoder::new(sink, plan.layer_type.compression)?;
    let on = &|bytes| reporter.progress(bytes);
    match raw {
        None => archive::write(&plan.files, &mut encoder, on)?,
        Some(file) => archive::write_content(file, &mut encoder, on)?,
    }
    encoder.commit()
}

/// The one file of a raw layer.
fn single_file(plan: &LayerPlan) -> &Entry {
    let file = plan.files.iter().find(|file| matches!(file.content, Content::File(_)));
    file.expect("planning refuses a raw layer without a file on disk")
}

fn annotations(plan: &LayerPlan) -> HashMap<String, String> {
    let mut annotations = HashMap::from([(media_type::FILEPATH.to_owned(), plan.path.to_string())]);
    if plan.layer_type.format == Format::Raw {
        annotations.insert(media_type::FILE_METADATA.to_owned(), file_metadata(plan));
        if plan.layer_type.family == Family::ModelPack {
            annotations.insert(media_type::TITLE.to_owned(), plan.path.to_string());
        }
    }
    if plan.section == Section::Prompt {
        annotations
            .insert(media_type::LAYER_SUBTYPE.to_owned(), media_type::SUBTYPE_PROMPT.to_owned());
    }
    annotations
}

/// What the annotation of a raw layer says of its file, which depends on no clock and no user.
fn file_metadata(plan: &LayerPlan) -> String {
    let file = single_file(plan);
    let metadata = json!({
        "name": plan.path.file_name().unwrap_or_default(),
        "mode": if file.content.is_executable() { 0o755 } else { 0o644 },
        "uid": 0,
        "gid": 0,
        "size": file.content.size(),
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": 0,
    });
    String::from_utf8(content::encode(&metadata)).expect("JSON is UTF-8")
}
