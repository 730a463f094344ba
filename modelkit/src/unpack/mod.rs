//! Unpacks: layers into files, of which none is seen before all are verified.

mod layer;
mod place;
mod source;
mod staging;

use std::path::Path;

use fs_err as fs;
use kitfile::ContextPath;
use registry::Layout;

use crate::archive::Limits;
use crate::error::{Error, Result};
use crate::event::{Listener, side_by_side};
use crate::filter::{Filter, Part, any_concerns, any_matches_kitfile};
use crate::kit::ModelKit;
use crate::parents::{local, parents};

use layer::extract_layer;
pub(crate) use place::{Existing, merge};
pub use source::{Chosen, Role, Source, chosen, remote_datasets};
pub(crate) use staging::Staging;

/// The name under which a Kitfile is unpacked.
const KITFILE: &str = kitfile::FILE_NAMES[0];

/// How to unpack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnpackOptions {
    /// Replace files that are there already.
    pub overwrite: bool,
    /// Leave files that are there already as they are.
    pub ignore_existing: bool,
    /// Unpack datasets that are kept in other ModelKits, too.
    pub include_remote: bool,
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

/// Unpacks the layers that the filters mean (all, without filters) and the Kitfile into a folder.
/// A model that comes from another ModelKit is unpacked from there; that one must be in the layout
/// too.
///
/// Each layer is verified (size, digest, diffId) while it is extracted into a temporary folder
/// within `into`; only when all of them are what they should be do files appear, by rename. Of a
/// ModelKit that is refused nothing stays behind. Symbolic links that are in `into` are not
/// followed.
pub fn unpack(
    kit: &ModelKit,
    layout: &Layout,
    into: &Path,
    filters: &[Filter],
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let parents = if any_concerns(filters, Part::Model) {
        parents(&kit.kitfile, layout)?
    } else {
        Vec::new()
    };
    let remote = if options.include_remote { remote_datasets(kit, filters)? } else { Vec::new() };
    let datasets: Vec<(ContextPath, ModelKit)> = remote
        .into_iter()
        .map(|(path, reference)| Ok((path, local(&reference, layout)?)))
        .collect::<Result<_>>()?;
    let source = |kit, role| Source { kit, blobs: layout, role };
    let mut sources = vec![source(kit, Role::Itself)];
    sources.extend(parents.iter().map(|parent| source(parent, Role::Parent)));
    sources.extend(datasets.iter().map(|(path, kit)| source(kit, Role::Dataset(path.clone()))));
    unpack_from(&sources, into, filters, options, on)
}

/// The same for ModelKits whose blobs may lie anywhere: the one to unpack first, then those that
/// its model and, with [`include_remote`](UnpackOptions::include_remote), its datasets come from.
/// Only the blobs that are meant are opened.
pub fn unpack_from(
    sources: &[Source<'_>],
    into: &Path,
    filters: &[Filter],
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let is_new = !into.exists();
    fs::create_dir_all(into)?;
    let unpacked = unpack_into(sources, into, filters, options, on);
    if unpacked.is_err() && is_new {
        // Fails, as it should, if there is something in it by now.
        let _ = fs::remove_dir(into);
    }
    unpacked
}

fn unpack_into(
    sources: &[Source<'_>],
    into: &Path,
    filters: &[Filter],
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let Some(Source { kit, .. }) = sources.first() else { return Ok(Unpacked::default()) };
    let wants_kitfile = any_matches_kitfile(filters) && kit.has_kitfile;
    let new_kitfile = if wants_kitfile { new_kitfile(kit, into, options)? } else { None };
    let warnings = source::left_out(sources, filters);
    let chosen = chosen(sources, filters);
    let staging = Staging::beneath(into)?;
    let sizes: Vec<u64> = chosen.iter().map(|chosen| chosen.layer.descriptor.size()).collect();
    let extracted = side_by_side(&sizes, on, |index, reporter| {
        let chosen = &chosen[index];
        reporter.started(chosen.layer.section, &chosen.path, sizes[index]);
        let extracted = extract_layer(chosen, &staging.folder(index)?, &options.limits, reporter)?;
        reporter.done(chosen.layer.descriptor);
        Ok(extracted)
    })?;
    let mut unpacked = Unpacked { warnings, ..Default::default() };
    for layer in &extracted {
        unpacked.files += layer.n_files;
        unpacked.bytes += layer.bytes;
    }
    if let Some(text) = new_kitfile {
        fs::write(staging.path(chosen.len()).join(KITFILE), &text)?;
        unpacked.files += 1;
        unpacked.bytes += text.len() as u64;
    }
    let skipped = staging.place(chosen.len(), into, existing(options))?;
    unpacked.files -= skipped.n_files;
    unpacked.bytes -= skipped.bytes;
    Ok(unpacked)
}

fn existing(options: &UnpackOptions) -> Existing {
    match options {
        UnpackOptions { ignore_existing: true, .. } => Existing::Keep,
        UnpackOptions { overwrite: true, .. } => Existing::Replace,
        _ => Existing::Refuse,
    }
}

/// The Kitfile's text, unless it is there already. One that differs is an error, whatever is done
/// with other files that exist.
fn new_kitfile(kit: &ModelKit, into: &Path, options: &UnpackOptions) -> Result<Option<String>> {
    let text = kit.kitfile.to_yaml();
    let path = into.join(KITFILE);
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    if is_file && fs::read(&path)? == text.as_bytes() {
        return Ok(None);
    }
    if is_file && options.ignore_existing && !options.overwrite {
        return Err(Error::Exists { path });
    }
    Ok(Some(text))
}
