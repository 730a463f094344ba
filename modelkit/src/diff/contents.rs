//! What is in a ModelKit's layers, file by file.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use registry::content::Hasher;

use super::FileInfo;
use super::tensors::{self, Tensors};
use crate::archive::{Budget, Limits, Rules, for_each_file};
use crate::compress::Blob;
use crate::error::{Refused, Result};
use crate::kit::Layer;
use crate::media_type::Format;
use crate::source::Source;

/// Files by path, each with its tensors where they were asked for.
pub(super) type Contents = BTreeMap<String, (FileInfo, Option<Tensors>)>;

/// The files of all layers but those whose digest is one of `known`.
pub(super) fn of(source: &Source<'_>, known: &[String], with_tensors: bool) -> Result<Contents> {
    let is_new =
        |layer: &Layer<'_>| !known.iter().any(|known| *known == layer.descriptor.digest().as_ref());
    let layers: Vec<Layer<'_>> = source.kit.layers().filter(is_new).collect();
    let budget = Budget::of(&Limits::default(), layers.iter().map(|layer| layer.descriptor));
    let mut contents = Contents::new();
    for layer in &layers {
        add(layer, source, &budget, with_tensors, &mut contents)?;
    }
    Ok(contents)
}

fn add(
    layer: &Layer<'_>,
    source: &Source<'_>,
    budget: &Budget,
    with_tensors: bool,
    contents: &mut Contents,
) -> Result<()> {
    let (descriptor, compression) = (layer.descriptor, layer.layer_type.compression);
    let blob =
        Blob { blobs: &*source.blobs, descriptor, compression, diff_id: layer.diff_id, budget };
    let within = layer.path_in_archive();
    let rules = Rules::new(budget, &within);
    blob.read(|stream| match layer.layer_type.format {
        Format::Tar => for_each_file(&rules, stream, &mut |path, executable, content| {
            let path = format!("{}/{path}", layer.beneath);
            let path = path.trim_start_matches("./").to_owned();
            contents.insert(path.clone(), file(&path, executable, content, with_tensors)?);
            Ok(())
        }),
        Format::Raw => {
            let path = layer.path.to_string();
            let found = file(&path, layer.is_executable(), stream, with_tensors)?;
            contents.insert(path, found);
            Ok(())
        }
    })
}

fn file(
    path: &str,
    executable: bool,
    content: &mut dyn BufRead,
    with_tensors: bool,
) -> Result<(FileInfo, Option<Tensors>), Refused> {
    let mut content = Counted { inner: content, hasher: Hasher::default(), bytes: 0 };
    let wants = with_tensors && path.to_ascii_lowercase().ends_with(".safetensors");
    let tensors = if wants { tensors::read(&mut content)? } else { None };
    io::copy(&mut content, &mut io::sink())?;
    let Counted { hasher, bytes, .. } = content;
    Ok((FileInfo { bytes, executable, digest: hasher.finish().to_string() }, tensors))
}

struct Counted<'a> {
    inner: &'a mut dyn BufRead,
    hasher: Hasher,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}
