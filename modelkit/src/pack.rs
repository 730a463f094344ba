//! Packs: files into layers, layers and the Kitfile into a manifest.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use kitfile::{Kitfile, Section};
use registry::Layout;
use registry::content::{self, Descriptor, Digest, ImageManifestBuilder, MediaType};
use serde_json::json;

use crate::archive::{self, Content};
use crate::compress::{Encoder, is_cancelled};
use crate::error::{Error, Result};
use crate::event::{Listener, Reporter, side_by_side};
use crate::mcpb;
use crate::media_type::{self, Compression, Format};
use crate::parents::{inherited_paths, parents, pin};
use crate::plan::{LayerPlan, plan_without};

/// How to pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackOptions {
    /// How layers are compressed.
    pub compression: Compression,
    /// Whether layers are archives or single files; MCP bundles are always single files.
    pub format: Format,
    /// When it was packed, in seconds since 1970; without it the same files always give the same ModelKit.
    pub created: Option<u64>,
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
}

/// Packs what a Kitfile names of a context into a layout, and gives the manifest a place in the layout's index, without a tag.
///
/// Where the model comes from another ModelKit, that one must be in the layout; it is named by its digest from then on.
/// The same files, Kitfile and options give the same manifest digest, whatever the umask, the times and the order on disk.
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
    let layers = side_by_side(plan.layers.len(), on, |index, reporter| {
        pack_layer(&plan.layers[index], layout, reporter).map_err(|error| match error {
            Error::File(error) if is_cancelled(&error) => Error::Cancelled,
            error => error,
        })
    })?;
    let mut config = config(kitfile, &layers);
    pin(&mut config, &parents)?;
    let config = layout.put(media_type::CONFIG, config.to_json().as_bytes())?;
    let manifest = manifest(config, &layers, options);
    let descriptor = layout.put_manifest(MediaType::ImageManifest, &manifest)?;
    layout.add(&descriptor)?;
    Ok(Packed { descriptor, layers, warnings: plan.warnings })
}

fn pack_layer(plan: &LayerPlan, layout: &Layout, reporter: &mut Reporter<'_>) -> Result<PackedLayer> {
    reporter.started(plan.section, &plan.path, plan.bytes);
    let mut encoder = Encoder::new(layout.writer()?, plan.layer_type.compression)?;
    let mut annotations = HashMap::from([(media_type::FILEPATH.to_owned(), plan.path.to_string())]);
    match plan.layer_type.format {
        Format::Tar => archive::write(&plan.files, &mut encoder, &mut |bytes| reporter.progress(bytes))?,
        Format::Raw => {
            let metadata = write_file(plan, &mut encoder, &mut |bytes| reporter.progress(bytes))?;
            annotations.insert(media_type::FILE_METADATA.to_owned(), metadata);
        }
    }
    if plan.section == Section::Prompt {
        annotations.insert(media_type::LAYER_SUBTYPE.to_owned(), media_type::SUBTYPE_PROMPT.to_owned());
    }
    let (digest, size, diff_id) = encoder.commit()?;
    let mut descriptor = Descriptor::new(plan.media_type.as_str().into(), size, digest);
    descriptor.set_annotations(Some(annotations));
    reporter.done(&descriptor);
    Ok(PackedLayer { section: plan.section, descriptor, diff_id, n_files: plan.n_files })
}

/// Writes the one file of a raw layer; returns what its annotation says of it, which depends on no clock and no user.
fn write_file(plan: &LayerPlan, encoder: &mut Encoder, wrote: &mut dyn FnMut(u64) -> io::Result<()>) -> Result<String> {
    let content = plan.files.iter().map(|file| &file.content).find(|content| **content != Content::Folder);
    let Some(Content::File { source, size, modified, executable }) = content else {
        unreachable!("planning refuses a raw layer without a file on disk");
    };
    if plan.section == Section::McpServer {
        mcpb::check(source)?;
    }
    archive::copy_planned(source, *size, *modified, encoder, wrote)?;
    let name = plan.path.file_name().unwrap_or_default();
    let mode = if *executable { 0o755 } else { 0o644 };
    let metadata = json!({
        "name": name, "mode": mode, "uid": 0, "gid": 0, "size": size, "mtime": "1970-01-01T00:00:00Z", "typeflag": 0,
    });
    Ok(String::from_utf8(content::encode(&metadata)).expect("JSON is UTF-8"))
}

/// The Kitfile with the digests of its layers, as the config blob holds it.
fn config(kitfile: &Kitfile, layers: &[PackedLayer]) -> Kitfile {
    let mut config = kitfile.clone();
    for (entry, layer) in config.entries_mut().zip(layers) {
        *entry.digest = Some(layer.descriptor.digest().to_string());
        *entry.diff_id = Some(layer.diff_id.to_string());
    }
    config
}

fn manifest(config: Descriptor, layers: &[PackedLayer], options: &PackOptions) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut annotations = HashMap::from([(media_type::CLI_VERSION.to_owned(), version)]);
    if let Some(created) = options.created {
        annotations.insert("org.opencontainers.image.created".to_owned(), rfc3339(created));
    }
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type(media_type::MANIFEST)
        .config(config)
        .layers(layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>())
        .annotations(annotations)
        .build()
        .expect("all that a manifest needs is given");
    content::encode(&manifest)
}

/// A time as RFC 3339 writes it, in UTC. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, of which eras of 400 years are all alike.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
        }
    }
}
