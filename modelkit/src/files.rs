//! The files of an artifact in memory, for what reads a tree and unpacks none.

use std::collections::BTreeMap;

use kitfile::ContextPath;
use registry::Layout;
use registry::content::{Descriptor, Digest, ImageManifest};

use crate::archive::{Budget, Limits, Rules, for_each_file};
use crate::compress::Blob;
use crate::error::{Error, Result};
use crate::image::WHITEOUT;
use crate::kit::{ModelKit, is_modelkit, parse_manifest};
use crate::media_type::{Compression, FLUX_CONTENT, Format, Kind, image_layer};

/// What may come out of all layers together: text that people wrote is far less.
const LIMITS: Limits = Limits { max_ratio: 0, free_bytes: 256 << 20, max_entries: 100_000 };

/// Reads the files of an artifact by their paths: of a ModelKit the manifests that it carries for its
/// deployment, else its code and documentation; of an artifact of Flux and of any other whose layers are archives all of them, a later layer over an
/// earlier one.
///
/// Every document and layer is held to its digest before anything is returned; what is neither a
/// file nor a folder, and every name that could lead elsewhere, is refused, as is more than 256 MiB.
pub fn files(layout: &Layout, descriptor: &Descriptor) -> Result<BTreeMap<String, Vec<u8>>> {
    let manifest = parse_manifest(descriptor.digest(), &layout.read(descriptor)?)?;
    let mut files = Files { layout, budget: Budget::of(&LIMITS, []), found: BTreeMap::new() };
    match is_modelkit(&manifest) {
        true => files.of_modelkit(&ModelKit::read(layout, descriptor)?)?,
        false => files.of_archives(descriptor.digest(), &manifest)?,
    }
    Ok(files.found)
}

struct Files<'a> {
    layout: &'a Layout,
    budget: Budget,
    found: BTreeMap<String, Vec<u8>>,
}

impl Files<'_> {
    fn of_modelkit(&mut self, kit: &ModelKit) -> Result<()> {
        if let Some(manifests) = kit.manifests() {
            return self.archive(manifests, Compression::Gzip);
        }
        let mut is_none = true;
        for layer in kit.layers() {
            if !matches!(layer.layer_type.kind, Kind::Code | Kind::Docs) {
                continue;
            }
            is_none = false;
            let beneath = layer.beneath.to_string();
            let whole = (layer.layer_type.format == Format::Raw).then(|| layer.path.to_string());
            let within = layer.path_in_archive();
            let compression = layer.layer_type.compression;
            let shape = Shape { compression, diff_id: layer.diff_id, within, whole };
            self.layer(layer.descriptor, &shape, &beneath)?;
        }
        match is_none {
            true => Err(no_tree(kit.digest(), "it is a ModelKit without code and documentation")),
            false => Ok(()),
        }
    }

    fn of_archives(&mut self, digest: &Digest, manifest: &ImageManifest) -> Result<()> {
        if manifest.layers().is_empty() {
            return Err(no_tree(digest, "it has no layers"));
        }
        for layer in manifest.layers() {
            let compression = match layer.media_type().to_string().as_str() {
                FLUX_CONTENT => Some(Compression::Gzip),
                _ => image_layer(layer.media_type()),
            };
            let Some(compression) = compression else {
                let problem = format!("a layer is of type {}, no archive", layer.media_type());
                return Err(no_tree(digest, problem));
            };
            self.archive(layer, compression)?;
        }
        Ok(())
    }

    /// A layer whose files may lie anywhere.
    fn archive(&mut self, layer: &Descriptor, compression: Compression) -> Result<()> {
        let within = ContextPath::root();
        let shape = Shape { compression, diff_id: None, within, whole: None };
        self.layer(layer, &shape, ".")
    }

    fn layer(&mut self, descriptor: &Descriptor, shape: &Shape<'_>, beneath: &str) -> Result<()> {
        let Self { layout, budget, found } = self;
        let Shape { compression, diff_id, within, whole } = shape;
        let (compression, diff_id) = (*compression, *diff_id);
        let blob = Blob { blobs: *layout, descriptor, compression, diff_id, budget };
        let mut rules = Rules::new(budget, within);
        rules.refuse = whiteout;
        blob.read(|stream| {
            if let Some(path) = whole {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes)?;
                found.insert(path.clone(), bytes);
                return Ok(());
            }
            for_each_file(&rules, stream, &mut |path, _, content| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                let path = format!("{beneath}/{path}");
                found.insert(path.trim_start_matches("./").to_owned(), bytes);
                Ok(())
            })
        })
    }
}

/// How the files of a layer lie in its blob.
struct Shape<'a> {
    compression: Compression,
    diff_id: Option<&'a Digest>,
    /// The only path at which there may be any.
    within: ContextPath,
    /// The path of the only file, whose bytes the blob is.
    whole: Option<String>,
}

fn whiteout(path: &str) -> Option<&'static str> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.starts_with(WHITEOUT).then_some("takes away files of other layers")
}

fn no_tree(digest: &Digest, problem: impl Into<String>) -> Error {
    Error::NoTree { digest: digest.clone(), problem: problem.into() }
}
