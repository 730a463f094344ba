//! One layer into a folder of its own.

use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use serde::Deserialize;

use super::sources::ChosenLayer;
use crate::archive::{Budget, Extracted, Folder, Rules, extract_by};
use crate::compress::Blob;
use crate::error::{Refused, Result, go_on};
use crate::event::Reporter;
use crate::kit::Layer;
use crate::media_type::{FILE_METADATA, Format};

/// Extracts a layer beneath a folder, and holds it to its digests and to its path.
pub(super) fn extract_layer(
    chosen: &ChosenLayer<'_>,
    into: &Folder,
    budget: &Budget,
    reporter: &Reporter<'_>,
) -> Result<Extracted> {
    let layer = &chosen.layer;
    let into =
        into.create_folders(chosen.beneath.as_str())?.create_folders(layer.beneath.as_str())?;
    let on = &|bytes| reporter.progress(bytes);
    let within = layer.path_in_archive();
    let rules = Rules::new(budget, &within);
    blob(chosen, budget).read(|stream| match layer.layer_type.format {
        Format::Tar => extract_by(&rules, stream, &into, reporter.n_threads, on),
        Format::Raw => raw(layer, stream, &into, on),
    })
}

/// The blob of a layer.
pub(super) fn blob<'a>(chosen: &'a ChosenLayer<'_>, budget: &'a Budget) -> Blob<'a> {
    let layer = &chosen.layer;
    let (descriptor, compression) = (layer.descriptor, layer.layer_type.compression);
    Blob { blobs: chosen.blobs, descriptor, compression, diff_id: layer.diff_id, budget }
}

/// What the annotation of a raw layer says of its file.
#[derive(Deserialize)]
struct FileMetadata {
    mode: u32,
    size: u64,
}

fn raw(
    layer: &Layer<'_>,
    stream: &mut dyn BufRead,
    into: &Folder,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Extracted, Refused> {
    let entry = |problem| Refused::Entry { name: layer.path.to_string(), problem };
    let annotations = layer.descriptor.annotations().as_ref();
    let metadata = annotations.and_then(|annotations| annotations.get(FILE_METADATA));
    let metadata: Option<FileMetadata> = match metadata {
        Some(text) => Some(
            serde_json::from_str(text).map_err(|_| entry("has metadata that cannot be read"))?,
        ),
        None => None,
    };
    let name = layer.path.file_name().ok_or_else(|| entry("has no name"))?;
    let folder = layer.path.as_str().rsplit_once('/').map_or(".", |(folder, _)| folder);
    let is_executable = metadata.as_ref().is_some_and(|metadata| metadata.mode & 0o100 != 0);
    let mut file = into.create_folders(folder)?.create_file(name, is_executable)?;
    let bytes = copy(stream, &mut file, on)?;
    match metadata {
        Some(FileMetadata { size, .. }) if size != bytes => {
            Err(Refused::Size { found: bytes, expected: size })
        }
        _ => Ok(Extracted { n_files: 1, bytes }),
    }
}

pub(super) fn copy(
    from: &mut dyn BufRead,
    to: &mut impl Write,
    on: &dyn Fn(u64) -> ControlFlow<()>,
) -> io::Result<u64> {
    let mut n_bytes = 0;
    loop {
        let bytes = from.fill_buf()?;
        let n = bytes.len();
        if n == 0 {
            return Ok(n_bytes);
        }
        to.write_all(bytes)?;
        from.consume(n);
        n_bytes += n as u64;
        go_on(on(n as u64))?;
    }
}
