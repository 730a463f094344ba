//! Packs: files into layers, layers and the Kitfile into a manifest.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use kitfile::{ContextPath, Kitfile, Section};
use registry::Layout;
use registry::content::{self, Descriptor, Digest, Hasher, ImageManifestBuilder, MediaType};
use serde_json::json;

use crate::archive::{self, Content, Entry};
use crate::compress::{Encoder, Sink, is_cancelled};
use crate::error::{Error, Result};
use crate::event::{Listener, Reporter, side_by_side};
use crate::index::PackIndex;
use crate::kit::ModelKit;
use crate::mcpb;
use crate::media_type::{self, Compression, Family, Format};
use crate::modelpack;
use crate::parents::{inherited_paths, parents, pin};
use crate::pieces;
use crate::plan::{LayerPlan, Plan, plan_without};

/// How to pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackOptions {
    /// How layers are compressed.
    pub compression: Compression,
    /// Whether layers are archives or single files; MCP bundles are always single files.
    pub format: Format,
    /// Whose media types the ModelKit has. With [`Family::ModelPack`] and [`Format::Raw`] every
    /// file becomes a layer of its own.
    pub family: Family,
    /// When it was packed, in seconds since 1970; without it the same files always give the same
    /// ModelKit.
    pub created: Option<u64>,
    /// Takes a layer from the layout without reading its files again, if none of them has changed
    /// since it was packed: by path, size, times and inode, which the layout remembers.
    pub index: bool,
    /// Layers that are in the layout before they are packed; the content of their files is not
    /// read.
    pub ready: Vec<ReadyLayer>,
}

/// An uncompressed archive of one file that is in the layout already: what [`archive::around`]
/// says, around the file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyLayer {
    /// The layer's path, which is the file's.
    pub path: ContextPath,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
}

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
    let parents = parents(kitfile, layout)?;
    let plan = plan_without(kitfile, context, options, &inherited_paths(&parents))?;
    let index = options.index.then(|| PackIndex::read(layout));
    let layers = pack_layers(&plan, Some(layout), &options.ready, index.as_ref(), on)?;
    let maker = Maker::default();
    let kitfile = finished(&plan.kitfile, &layers, &parents, layout, &maker)?;
    let Documents { config, manifest } = documents(&kitfile, &layers, options, &maker);
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
    Ok(digest_as(kitfile, context, layout, options, &Maker::default(), on)?.packed)
}

/// Who packs, where that shows.
pub(crate) struct Maker<'a> {
    /// The version that the manifest names.
    pub(crate) version: &'a str,
    /// Whether references to other ModelKits become digests, which `kit` leaves as they are.
    pub(crate) pins: bool,
}

impl Default for Maker<'_> {
    fn default() -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), pins: true }
    }
}

/// What would be packed, with its documents.
pub(crate) struct Digested {
    pub(crate) packed: Packed,
    pub(crate) kitfile: Kitfile,
    pub(crate) manifest: Vec<u8>,
}

/// The same as somebody else would have it.
pub(crate) fn digest_as(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    maker: &Maker<'_>,
    on: Listener<'_>,
) -> Result<Digested> {
    let parents = parents(kitfile, layout)?;
    let plan = plan_without(kitfile, context, options, &inherited_paths(&parents))?;
    let layers = pack_layers(&plan, None, &[], None, on)?;
    let kitfile = finished(&plan.kitfile, &layers, &parents, layout, maker)?;
    let Documents { manifest, .. } = documents(&kitfile, &layers, options, maker);
    let descriptor = content::descriptor(MediaType::ImageManifest, &manifest);
    Ok(Digested {
        packed: Packed { descriptor, layers, warnings: plan.warnings },
        kitfile,
        manifest,
    })
}

fn pack_layers(
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

/// The digest, the size, and the digest of what is in it before compression.
pub(crate) type Blob = (Digest, u64, Digest);

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
    let (digest, size, diff_id) = blob;
    let mut descriptor = Descriptor::new(plan.media_type.as_str().into(), size, digest);
    descriptor.set_annotations(Some(annotations(plan)));
    reporter.done(&descriptor);
    Ok(PackedLayer { section: plan.section, descriptor, diff_id, n_files: plan.n_files, is_reused })
}

/// The blob of a layer that was made elsewhere, if it can be what packing would make.
fn take_ready(ready: &ReadyLayer, plan: &LayerPlan, layout: Option<&Layout>) -> Result<Blob> {
    let is_plain =
        plan.layer_type.format == Format::Tar && plan.layer_type.compression == Compression::None;
    let is_file = plan.files.last().is_some_and(|file| file.path == plan.path.as_str());
    let fits = is_plain
        && is_file
        && archive::around(&plan.files)?.is_some()
        && archive::size(&plan.files) == ready.size;
    match layout.and_then(|layout| layout.size(&ready.digest)) {
        Some(size) if fits && size == ready.size => {
            Ok((ready.digest.clone(), ready.size, ready.digest.clone()))
        }
        _ => Err(Error::NotReady { path: ready.path.to_string() }),
    }
}

fn write_layer(plan: &LayerPlan, layout: Option<&Layout>, reporter: &Reporter<'_>) -> Result<Blob> {
    let raw = match plan.layer_type.format {
        Format::Tar => None,
        Format::Raw => Some(single_file(plan)),
    };
    if let (Section::McpServer, Some(source)) = (plan.section, raw.and_then(Entry::source)) {
        mcpb::check(&source)?;
    }
    if plan.layer_type.compression == Compression::None {
        let (digest, size) = pieces::write(&plan.files, raw, layout, reporter)?;
        return Ok((digest.clone(), size, digest));
    }
    let sink = match layout {
        Some(layout) => Sink::Blob(layout.writer()?),
        None => Sink::Nowhere(Hasher::default(), 0),
    };
    let mut encoder = Encoder::new(sink, plan.layer_type.compression)?;
    let wrote = &mut |bytes| reporter.progress(bytes);
    match raw {
        None => archive::write(&plan.files, &mut encoder, wrote)?,
        Some(file) => archive::write_content(file, &mut encoder, wrote)?,
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

/// The two documents of a ModelKit; the config with its media type.
struct Documents {
    config: (&'static str, Vec<u8>),
    manifest: Vec<u8>,
}

fn documents(
    kitfile: &Kitfile,
    layers: &[PackedLayer],
    options: &PackOptions,
    maker: &Maker<'_>,
) -> Documents {
    let mut annotations =
        BTreeMap::from([(media_type::CLI_VERSION.to_owned(), maker.version.to_owned())]);
    if let Some(created) = options.created {
        annotations.insert(media_type::CREATED.to_owned(), rfc3339(created));
    }
    let config = match options.family {
        Family::KitOps => (media_type::CONFIG, kitfile.to_json().into_bytes()),
        Family::ModelPack => {
            annotations.insert(media_type::KITFILE_JSON.to_owned(), kitfile.to_json());
            (media_type::MODELPACK_CONFIG, modelpack::config(kitfile, layers, options.created))
        }
    };
    let manifest =
        manifest(content::descriptor(config.0, &config.1), layers, annotations, options.family);
    Documents { config, manifest }
}

/// The Kitfile as the ModelKit holds it: with the digests of its layers, and of the ModelKits it
/// builds on.
fn finished(
    kitfile: &Kitfile,
    layers: &[PackedLayer],
    parents: &[ModelKit],
    layout: &Layout,
    maker: &Maker<'_>,
) -> Result<Kitfile> {
    let mut kitfile = kitfile.clone();
    for (entry, layer) in kitfile.entries_mut().zip(layers) {
        *entry.digest = Some(layer.descriptor.digest().to_string());
        *entry.diff_id = Some(layer.diff_id.to_string());
    }
    if maker.pins {
        pin(&mut kitfile, parents, layout)?;
    }
    Ok(kitfile)
}

fn manifest(
    config: Descriptor,
    layers: &[PackedLayer],
    annotations: BTreeMap<String, String>,
    family: Family,
) -> Vec<u8> {
    let artifact_type = match family {
        Family::KitOps => media_type::MANIFEST,
        Family::ModelPack => media_type::MODELPACK_MANIFEST,
    };
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type(artifact_type)
        .config(config)
        .layers(layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>())
        .annotations(annotations.into_iter().collect::<HashMap<_, _>>())
        .build()
        .expect("all that a manifest needs is given");
    content::encode(&manifest)
}

/// A time as RFC 3339 writes it, in UTC. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, of which eras of 400 years are all alike.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads what [`rfc3339`] writes; none for anything else.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Years begin in March here, so that the day which only some of them have is the last.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100
        + year / 400
        + (153 * month + 2) / 5
        + day.checked_sub(1)?;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second;
    (rfc3339(seconds) == text).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(super::seconds(text), Some(seconds));
        }
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2024-01-01T00:00:00+01:00",
            "2024-01-01",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(super::seconds(text), None, "{text}");
        }
    }
}
