//! Unpacks: layers into files, of which none is seen before all are verified.

mod layer;
mod place;
mod sources;
mod staging;

use std::path::Path;

use fs_err as fs;
use layer::extract_layer;
pub use place::Existing;
pub(crate) use place::merge;
pub use sources::{ChosenLayer, Selection, Sources};
pub(crate) use staging::Staging;

use crate::archive::Limits;
use crate::error::{Error, Result};
use crate::event::{Listener, side_by_side};
use crate::kit::ModelKit;

/// The name under which a Kitfile is unpacked.
const KITFILE: &str = kitfile::FILE_NAMES[0];

/// How to unpack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnpackOptions {
    /// What becomes of files that are there already.
    pub existing: Existing,
    /// How much may come out of a layer.
    pub limits: Limits,
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Number of files, the Kitfile included.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// What belongs to the ModelKit and is not in the folder.
    pub warnings: Vec<String>,
}

/// Unpacks what is meant of a ModelKit into a folder, which is made where it is missing. Only the
/// blobs that are meant are opened.
///
/// Each layer is verified (size, digest, diffId) while it is extracted into a temporary folder
/// within `into`; only when all of them are what they should be do files appear, by rename. Of a
/// ModelKit that is refused nothing stays behind. Symbolic links that are in `into` are not
/// followed.
pub fn unpack(
    sources: &Sources<'_>,
    into: &Path,
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let is_new = !into.exists();
    fs::create_dir_all(into)?;
    let unpacked = unpack_into(sources, into, options, on);
    if unpacked.is_err() && is_new {
        // Fails, as it should, if there is something in it by now.
        let _ = fs::remove_dir(into);
    }
    unpacked
}

fn unpack_into(
    sources: &Sources<'_>,
    into: &Path,
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let new_kitfile = match sources.has_kitfile() {
        true => new_kitfile(sources.kit(), into, options.existing)?,
        false => None,
    };
    let layers = sources.layers();
    let staging = Staging::beneath(into)?;
    let sizes: Vec<u64> = layers.iter().map(|chosen| chosen.layer.descriptor.size()).collect();
    let extracted = side_by_side(&sizes, on, |index, reporter| {
        let chosen = &layers[index];
        reporter.started(chosen.layer.section, &chosen.path, sizes[index]);
        let extracted = extract_layer(chosen, &staging.folder(index)?, &options.limits, reporter)?;
        reporter.done(chosen.layer.descriptor);
        Ok(extracted)
    })?;
    let mut unpacked = Unpacked { warnings: sources.left_out(), ..Default::default() };
    for layer in &extracted {
        unpacked.files += layer.n_files;
        unpacked.bytes += layer.bytes;
    }
    if let Some(text) = new_kitfile {
        fs::write(staging.path(layers.len()).join(KITFILE), &text)?;
        unpacked.files += 1;
        unpacked.bytes += text.len() as u64;
    }
    let skipped = staging.place(layers.len(), into, options.existing)?;
    unpacked.files -= skipped.n_files;
    unpacked.bytes -= skipped.bytes;
    Ok(unpacked)
}

/// The Kitfile's text, unless it is there already.
fn new_kitfile(kit: &ModelKit, into: &Path, existing: Existing) -> Result<Option<String>> {
    let text = kit.kitfile().to_yaml();
    let path = into.join(KITFILE);
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    if is_file && fs::read(&path)? == text.as_bytes() {
        return Ok(None);
    }
    if is_file && existing == Existing::Keep {
        return Err(Error::Exists { path });
    }
    Ok(Some(text))
}
