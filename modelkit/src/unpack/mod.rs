//! Unpacks: layers into files, of which none is seen before all are verified.

mod place;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use registry::Layout;
use serde::Deserialize;
use tempfile::TempDir;

use crate::archive::{Extracted, Folder, Limits, extract};
use crate::compress::Blob;
use crate::error::{Error, Refused, Result};
use crate::event::{Listener, Reporter, side_by_side};
use crate::filter::{Filter, Part, any_matches};
use crate::kit::{Layer, ModelKit};
use crate::media_type::{FILE_METADATA, Format};
use crate::parents::{inherited, parents};

pub(crate) use place::{Existing, merge};

/// The name under which a Kitfile is unpacked.
const KITFILE: &str = kitfile::FILE_NAMES[0];

/// How to unpack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnpackOptions {
    /// Replace files that are there already.
    pub overwrite: bool,
    /// Leave files that are there already as they are.
    pub ignore_existing: bool,
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

/// Unpacks the layers that any of the filters means (all, without filters) and the Kitfile into a folder.
/// A model that comes from another ModelKit is unpacked from there.
///
/// Each layer is verified (size, digest, diffId) while it is extracted into a temporary folder within `into`; only when all of them
/// are what they should be do files appear, by rename. Of a ModelKit that is refused nothing stays behind.
/// Symbolic links that are in `into` are not followed.
pub fn unpack(
    kit: &ModelKit,
    layout: &Layout,
    into: &Path,
    filters: &[Filter],
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let is_new = !into.exists();
    fs::create_dir_all(into)?;
    let unpacked = unpack_into(kit, layout, into, filters, options, on);
    if unpacked.is_err() && is_new {
        // Fails, as it should, if there is something in it by now.
        let _ = fs::remove_dir(into);
    }
    unpacked
}

fn unpack_into(
    kit: &ModelKit,
    layout: &Layout,
    into: &Path,
    filters: &[Filter],
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Unpacked> {
    let wants_kitfile = filters.is_empty() || filters.iter().any(Filter::matches_kitfile);
    let new_kitfile = if wants_kitfile && kit.has_kitfile { new_kitfile(kit, into, options)? } else { None };
    let is_wanted = |layer: &Layer<'_>| any_matches(filters, layer.section, layer.name, layer.written_path);
    let wants_model = filters.is_empty() || filters.iter().any(|filter| filter.narrowed(Part::Model).is_some());
    let parents = if wants_model { parents(&kit.kitfile, layout)? } else { Vec::new() };
    let layers: Vec<_> = inherited(&parents).chain(kit.layers()).filter(is_wanted).collect();
    let staging = Staging::beneath(into)?;
    let extracted = side_by_side(layers.len(), on, |index, reporter| {
        let layer = &layers[index];
        reporter.started(layer.section, &layer.path, layer.descriptor.size());
        let extracted = extract_layer(layer, layout, &staging.folder(index)?, &options.limits, reporter)?;
        reporter.done(layer.descriptor);
        Ok(extracted)
    })?;
    let mut unpacked = Unpacked { warnings: remote_datasets(kit, filters), ..Default::default() };
    for layer in &extracted {
        unpacked.files += layer.n_files;
        unpacked.bytes += layer.bytes;
    }
    if let Some(text) = new_kitfile {
        fs::write(staging.path(layers.len()).join(KITFILE), &text)?;
        unpacked.files += 1;
        unpacked.bytes += text.len() as u64;
    }
    let skipped = staging.place(layers.len(), into, existing(options))?;
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

/// The Kitfile's text, unless it is there already. One that differs is an error, whatever is done with other files that exist.
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

fn remote_datasets(kit: &ModelKit, filters: &[Filter]) -> Vec<String> {
    let is_wanted = |name: &str, path: &str| {
        let name = Some(name).filter(|name| !name.is_empty());
        any_matches(filters, kitfile::Section::Dataset, name, path)
    };
    let remote = kit.kitfile.datasets.iter().filter(|dataset| !dataset.remote_path.is_empty());
    let wanted = remote.filter(|dataset| is_wanted(&dataset.name, &dataset.path));
    wanted
        .map(|dataset| format!("dataset `{}` is kept at {} and is not unpacked", dataset.path, dataset.remote_path))
        .collect()
}

pub(crate) fn extract_layer(
    layer: &Layer<'_>,
    layout: &Layout,
    into: &Folder,
    limits: &Limits,
    reporter: &mut Reporter<'_>,
) -> Result<Extracted> {
    let (descriptor, compression) = (layer.descriptor, layer.layer_type.compression);
    let blob = Blob { layout, descriptor, compression, diff_id: layer.diff_id, limits };
    let into = into.create_folders(layer.beneath.as_str())?;
    blob.read(|stream| match layer.layer_type.format {
        Format::Tar => extract(stream, &into, limits, &mut |bytes| reporter.progress(bytes)),
        Format::Raw => raw(layer, stream, &into, &mut |bytes| reporter.progress(bytes)),
    })
}

/// What the annotation of a raw layer says of its file.
#[derive(Deserialize)]
struct FileMetadata {
    mode: u32,
    size: u64,
}

fn raw(
    layer: &Layer<'_>,
    stream: &mut dyn Read,
    into: &Folder,
    wrote: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Extracted, Refused> {
    let entry = |problem| Refused::Entry { name: layer.path.to_string(), problem };
    let annotations = layer.descriptor.annotations().as_ref();
    let metadata = annotations.and_then(|annotations| annotations.get(FILE_METADATA));
    let metadata: Option<FileMetadata> = match metadata {
        Some(text) => Some(serde_json::from_str(text).map_err(|_| entry("has metadata that cannot be read"))?),
        None => None,
    };
    let name = layer.path.file_name().ok_or_else(|| entry("has no name"))?;
    let folder = layer.path.as_str().rsplit_once('/').map_or(".", |(folder, _)| folder);
    let is_executable = metadata.as_ref().is_some_and(|metadata| metadata.mode & 0o100 != 0);
    let mut file = into.create_folders(folder)?.create_file(name, is_executable)?;
    let bytes = copy(stream, &mut file, wrote)?;
    match metadata {
        Some(FileMetadata { size, .. }) if size != bytes => Err(Refused::Size { found: bytes, expected: size }),
        _ => Ok(Extracted { n_files: 1, bytes }),
    }
}

fn copy(from: &mut dyn Read, to: &mut impl Write, wrote: &mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<u64> {
    let mut chunk = vec![0; 256 * 1024];
    let mut n_bytes = 0;
    loop {
        let n_read = from.read(&mut chunk)?;
        if n_read == 0 {
            return Ok(n_bytes);
        }
        to.write_all(&chunk[..n_read])?;
        n_bytes += n_read as u64;
        wrote(n_read as u64)?;
    }
}

/// A temporary folder within the target, with a folder for each layer; it goes when it is dropped.
pub(crate) struct Staging(TempDir);

impl Staging {
    pub(crate) fn beneath(into: &Path) -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix(".kit-rs-").tempdir_in(into)?))
    }

    pub(crate) fn path(&self, index: usize) -> PathBuf {
        let path = self.0.path().join(index.to_string());
        // It is there already, or whoever uses the path will say what is wrong.
        let _ = fs::create_dir(&path);
        path
    }

    pub(crate) fn folder(&self, index: usize) -> Result<Folder> {
        Ok(Folder::open(&self.path(index))?)
    }

    /// Names a path in the first folder as what it would be in the target.
    fn as_in(&self, into: &Path, error: Error) -> Error {
        let first = self.path(0);
        let place = |path: PathBuf| path.strip_prefix(&first).map_or(path.clone(), |path| into.join(path));
        match error {
            Error::Exists { path } => Error::Exists { path: place(path) },
            Error::InTheWay { path, found, expected } => Error::InTheWay { path: place(path), found, expected },
            other => other,
        }
    }

    /// Brings what lies in the folders 0 up to and with `last` together, and then into the target.
    fn place(&self, last: usize, into: &Path, existing: Existing) -> Result<Extracted> {
        let first = self.folder(0)?;
        let mut skipped = Extracted::default();
        let target = Folder::open(into)?;
        let mut add = |more: Extracted| {
            skipped.n_files += more.n_files;
            skipped.bytes += more.bytes;
        };
        for index in 1..=last {
            let merged = merge(&self.folder(index)?, &first, existing);
            add(merged.map_err(|error| self.as_in(into, error))?);
        }
        add(merge(&first, &target, existing)?);
        Ok(skipped)
    }
}
