//! Unpacks an image's layers over one another.
//! Source: image-spec, "Image Layer Filesystem Changeset".

use std::ops::ControlFlow;
use std::path::Path;

use fs_err as fs;
use kitfile::ContextPath;
use registry::content::{self, Descriptor, Digest, ImageConfiguration, ImageManifest, MediaType};
use registry::{Blobs, Layout};

use super::{ImageConfig, WHITEOUT};
use crate::archive::{Budget, Limits, Rules, extract_by};
use crate::compress::Blob;
use crate::error::{Error, Result};
use crate::event::side_by_side;
use crate::kit::{config_descriptor, parse_manifest};
use crate::media_type::{self, Compression};
use crate::staging::{Existing, Staging, merge};
use crate::unpack::check_room;

const OPAQUE: &str = ".wh..wh..opq";

/// Unpacks an image's layers in their order into a folder, and says how to start it.
///
/// Every layer is held to its digest and its diff_id before any file appears, and all of them
/// appear or none. Images with links or devices are refused; nothing that is in the folder already
/// is replaced.
pub fn unpack(layout: &Layout, descriptor: &Descriptor, into: &Path) -> Result<ImageConfig> {
    check_kind(descriptor)?;
    let manifest = layout.read(descriptor)?;
    let config = layout.read(&config_descriptor(&manifest)?)?;
    unpack_from(layout, descriptor, &manifest, &config, into)
}

/// Unpacks an image whose documents are here and verified, and whose layers are wherever they are.
pub fn unpack_from(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    manifest: &[u8],
    config: &[u8],
    into: &Path,
) -> Result<ImageConfig> {
    let not_one = |problem: &str| Error::NotAnImage {
        digest: descriptor.digest().clone(),
        problem: problem.into(),
    };
    check_kind(descriptor)?;
    let manifest = parse_manifest(descriptor.digest(), manifest)?;
    let config_type = manifest.config().media_type().to_string();
    if config_type == media_type::CONFIG || media_type::is_modelpack(&config_type) {
        return Err(not_one("it is a ModelKit"));
    }
    let config: ImageConfiguration = serde_json::from_slice(config).map_err(|source| {
        let digest = manifest.config().digest().clone();
        Error::Document { what: "image config", digest, source }
    })?;
    let diff_ids = config
        .rootfs()
        .diff_ids()
        .iter()
        .map(|text| content::parse_digest(text))
        .collect::<Result<Vec<_>, _>>()?;
    if diff_ids.len() != manifest.layers().len() {
        return Err(not_one("its config and its manifest have different numbers of layers"));
    }
    unpack_layers(blobs, descriptor, &manifest, &diff_ids, into)?;
    Ok(ImageConfig::from(&config))
}

fn check_kind(descriptor: &Descriptor) -> Result<()> {
    if *descriptor.media_type() == MediaType::ImageIndex {
        let digest = descriptor.digest().clone();
        return Err(Error::NotAnImage { digest, problem: "it is an index of images".into() });
    }
    Ok(())
}

fn unpack_layers(
    blobs: &dyn Blobs,
    image: &Descriptor,
    manifest: &ImageManifest,
    diff_ids: &[Digest],
    into: &Path,
) -> Result<()> {
    let layers = manifest.layers();
    let staging = Staging::beneath(into)?;
    let mut budget = Budget::of(&Limits::default(), layers);
    if let Some(room) = staging.room() {
        check_room(layers.iter(), room, into)?;
        budget = budget.with_room(room);
    }
    // An image's layers may lie anywhere in it.
    let anywhere = ContextPath::root();
    let rules = Rules::new(&budget, &anywhere);
    let sizes: Vec<u64> = layers.iter().map(Descriptor::size).collect();
    side_by_side(&sizes, &|_| ControlFlow::Continue(()), |index, reporter| {
        let compression = compression(image, layers[index].media_type())?;
        let diff_id = Some(&diff_ids[index]);
        let blob =
            Blob { blobs, descriptor: &layers[index], compression, diff_id, budget: &budget };
        let (folder, n_threads) = (staging.folder(index + 1)?, reporter.n_threads);
        let on = &|bytes| reporter.progress(bytes);
        blob.read(|stream| extract_by(&rules, stream, &folder, n_threads, on))
    })?;
    let root = staging.folder(0)?;
    for index in 1..=layers.len() {
        let layer = staging.folder(index)?;
        make_way(layer.path(), root.path())?;
        merge(&layer, &root, Existing::Replace)?;
    }
    staging.place(0, Existing::Refuse)?;
    Ok(())
}

fn compression(image: &Descriptor, media_type: &MediaType) -> Result<Compression> {
    media_type::image_layer(media_type).ok_or_else(|| {
        let problem = format!("a layer is of type {media_type}");
        Error::NotAnImage { digest: image.digest().clone(), problem }
    })
}

/// Removes from the layers below what a layer takes away, and what it has as something else: a
/// folder for a file. Both trees are our own and hold files and folders only.
fn make_way(layer: &Path, below: &Path) -> Result<()> {
    for item in fs::read_dir(layer)? {
        let item = item?;
        let name = item.file_name();
        let name = name.to_str().expect("names that are not UTF-8 were refused");
        if name == OPAQUE {
            fs::remove_file(item.path())?;
            if below.is_dir() {
                fs::remove_dir_all(below)?;
                fs::create_dir(below)?;
            }
        } else if let Some(gone) = name.strip_prefix(WHITEOUT) {
            fs::remove_file(item.path())?;
            // `.wh...` would name the folder above.
            if !matches!(gone, "" | "." | "..") {
                remove(&below.join(gone))?;
            }
        } else if !item.file_type()?.is_dir() {
            remove(&below.join(name))?;
        } else if below.join(name).is_dir() {
            make_way(&item.path(), &below.join(name))?;
        } else {
            remove(&below.join(name))?;
            drop_whiteouts(&item.path())?;
        }
    }
    Ok(())
}

/// Whiteouts in a folder that is new in a layer have nothing to take away.
fn drop_whiteouts(layer: &Path) -> Result<()> {
    for item in fs::read_dir(layer)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            drop_whiteouts(&item.path())?;
        } else if item.file_name().as_encoded_bytes().starts_with(WHITEOUT.as_bytes()) {
            fs::remove_file(item.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(path)?),
        Ok(_) => Ok(fs::remove_file(path)?),
        Err(_) => Ok(()),
    }
}
