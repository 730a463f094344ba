//! Unpacks: layers into files, of which none is seen before all are verified.

mod layer;
mod preview;
mod sources;

use std::io::Write as _;
use std::path::Path;

use fs_err as fs;
use layer::extract_layer;
pub use preview::{Preview, PreviewFile, preview};
use registry::content::Descriptor;
pub use sources::{ChosenLayer, Selection, Sources};

use crate::archive::{Budget, Limits};
use crate::error::{Error, Result};
use crate::event::{Listener, side_by_side};
use crate::image;
use crate::kit::ModelKit;
use crate::staging::{Existing, Staging};

/// The name under which a Kitfile is unpacked.
const KITFILE: &str = kitfile::FILE_NAMES[0];

/// How to unpack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnpackOptions {
    /// What becomes of files that are there already.
    pub existing: Existing,
    /// How much may come out of all layers together.
    pub limits: Limits,
    /// Whether the ModelKit's manifest is written beside the Kitfile, as images have it: by it,
    /// whoever serves the folder knows which ModelKit it is.
    pub manifest: bool,
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
/// Each layer is verified (size, digest, diffId) and held to the path that it was announced with,
/// while it is extracted into a folder of ours within `into`; only when all of them are what they
/// should be do files appear, by rename: all of them or none, even when the process is killed and
/// another one unpacks there. Symbolic links that are in `into` are not followed.
pub fn unpack(
    sources: &Sources<'_>,
    into: &Path,
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    unpack_after(sources, into, options, &|_| Ok(()), on)
}

/// The same, after somebody has looked at all that is about to appear: at each layer's files in a
/// folder of their own, which has the paths that they will have. A refusal, in words, is
/// [`Error::NotTaken`], and nothing appears.
pub fn unpack_after(
    sources: &Sources<'_>,
    into: &Path,
    options: &UnpackOptions,
    look: &dyn Fn(&Path) -> std::result::Result<(), String>,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let staging = Staging::beneath(into)?;
    let new_kitfile = match sources.has_kitfile() {
        true => new_kitfile(sources.kit(), into, options.existing)?,
        false => None,
    };
    let layers = sources.layers();
    let blobs = || layers.iter().map(|chosen| chosen.layer.descriptor);
    let mut budget = Budget::of(&options.limits, blobs());
    if let Some(room) = staging.room() {
        check_room(blobs(), room, into)?;
        budget = budget.with_room(room);
    }
    let sizes: Vec<u64> = blobs().map(Descriptor::size).collect();
    let extracted = side_by_side(&sizes, on, |index, reporter| {
        let chosen = &layers[index];
        reporter.started(chosen.layer.section, &chosen.path, sizes[index]);
        let extracted = extract_layer(chosen, &staging.folder(index)?, &budget, reporter)?;
        reporter.done(chosen.layer.descriptor);
        Ok(extracted)
    })?;
    let mut unpacked = Unpacked { warnings: sources.warnings(), ..Default::default() };
    for layer in &extracted {
        unpacked.files += layer.n_files;
        unpacked.bytes += layer.bytes;
    }
    for index in 0..layers.len() {
        look(&staging.path(index)).map_err(|reason| Error::NotTaken { reason })?;
    }
    if let Some(text) = new_kitfile {
        let mut file = staging.folder(layers.len())?.create_file(KITFILE, false)?;
        file.write_all(text.as_bytes())?;
        unpacked.files += 1;
        unpacked.bytes += text.len() as u64;
    }
    if options.manifest {
        let bytes = sources.kit().manifest_bytes();
        staging.folder(layers.len())?.create_file(image::MANIFEST, false)?.write_all(bytes)?;
        unpacked.files += 1;
        unpacked.bytes += bytes.len() as u64;
    }
    let skipped = staging.place(layers.len(), options.existing)?;
    unpacked.files -= skipped.n_files;
    unpacked.bytes -= skipped.bytes;
    Ok(unpacked)
}

/// What is known to be too much is told before anything is written.
pub(crate) fn check_room<'a>(
    layers: impl Iterator<Item = &'a Descriptor>,
    free: u64,
    into: &Path,
) -> Result<()> {
    let needed = layers.map(Descriptor::size).fold(0, u64::saturating_add);
    match needed > free {
        true => Err(Error::NoRoom { path: into.to_owned(), needed, free }),
        false => Ok(()),
    }
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
        return Err(Error::OtherKitfile { path });
    }
    Ok(Some(text))
}
