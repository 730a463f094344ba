//! How two ModelKits differ: by layer, by file, and by the tensors of their safetensors files.
//!
//! Layers of equal digest are equal without being read; of the others every file is hashed while it
//! streams by.

mod contents;
mod tensors;

use std::collections::BTreeMap;

use contents::Contents;
use kitfile::Section;
use registry::content::Descriptor;
use serde::Serialize;
pub use tensors::Tensor;

use crate::error::Result;
use crate::kit::{Layer, ModelKit};
use crate::source::Source;

/// How closely two ModelKits are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// By their documents and the digests of their layers: no blob is read.
    #[default]
    Layers,
    /// By the files in those layers that they do not share.
    Files,
    /// By the tensors in those safetensors files that differ.
    Tensors,
}

/// What is the same and what is not. The first ModelKit is `a`, the second `b`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// Whether they are one ModelKit: their manifests are equal to the byte.
    pub identical: bool,
    /// Whether their configs are equal: the Kitfiles with the layers' digests.
    pub same_config: bool,
    /// Annotations of the manifests with other values, or in one of the two only.
    pub annotations: BTreeMap<String, Pair<String>>,
    /// Layers that both have.
    pub shared: Vec<LayerInfo>,
    /// Layers that only `a` has.
    pub only_a: Vec<LayerInfo>,
    /// Layers that only `b` has.
    pub only_b: Vec<LayerInfo>,
    /// Files that differ, by path; none when only layers were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, FileChange>>,
}

/// A value of each side, where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// What `a` has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<T>,
    /// What `b` has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<T>,
}

/// A layer in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerInfo {
    /// The section of the Kitfile, such as `datasets`; `manifests` for those of the ModelKit's own
    /// deployment, and empty for another layer that no Kitfile names.
    pub section: String,
    /// Its path in the context.
    pub path: String,
    /// The digest of its blob.
    pub digest: String,
    /// The size of its blob in bytes.
    pub bytes: u64,
}

/// How a file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileChange {
    /// The file on each side.
    #[serde(flatten)]
    pub file: Pair<FileInfo>,
    /// The tensors that differ, by name; none when they were not looked at, or the file has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensors: Option<BTreeMap<String, Pair<Tensor>>>,
}

/// A file in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it may be executed.
    pub executable: bool,
    /// The digest of its content.
    pub digest: String,
}

/// Compares two ModelKits.
pub fn diff(a: &Source<'_>, b: &Source<'_>, depth: Depth) -> Result<Diff> {
    let (layers_a, layers_b) = (infos(&a.kit), infos(&b.kit));
    let digests =
        |layers: &[LayerInfo]| layers.iter().map(|layer| layer.digest.clone()).collect::<Vec<_>>();
    let (digests_a, digests_b) = (digests(&layers_a), digests(&layers_b));
    let (shared, only_a) =
        layers_a.into_iter().partition(|layer| digests_b.contains(&layer.digest));
    let only_b = layers_b.into_iter().filter(|layer| !digests_a.contains(&layer.digest)).collect();
    let files = match depth {
        Depth::Layers => None,
        _ => Some(changes(
            contents::of(a, &digests_b, depth == Depth::Tensors)?,
            contents::of(b, &digests_a, depth == Depth::Tensors)?,
        )),
    };
    Ok(Diff {
        identical: a.kit.digest() == b.kit.digest(),
        same_config: a.kit.manifest().config().digest() == b.kit.manifest().config().digest(),
        annotations: pairs(annotations(&a.kit), annotations(&b.kit)),
        shared,
        only_a,
        only_b,
        files,
    })
}

fn annotations(kit: &ModelKit) -> BTreeMap<String, String> {
    kit.manifest().annotations().clone().unwrap_or_default().into_iter().collect()
}

/// What two maps do not have in common.
fn pairs<T: PartialEq>(
    a: BTreeMap<String, T>,
    mut b: BTreeMap<String, T>,
) -> BTreeMap<String, Pair<T>> {
    let mut pairs = BTreeMap::new();
    for (key, a) in a {
        let b = b.remove(&key);
        if b.as_ref() != Some(&a) {
            pairs.insert(key, Pair { a: Some(a), b });
        }
    }
    pairs.extend(b.into_iter().map(|(key, b)| (key, Pair { a: None, b: Some(b) })));
    pairs
}

fn changes(a: Contents, b: Contents) -> BTreeMap<String, FileChange> {
    let change = |(path, Pair { a, b })| {
        let (a, tensors_a) = a.map_or((None, None), |(file, tensors)| (Some(file), tensors));
        let (b, tensors_b) = b.map_or((None, None), |(file, tensors)| (Some(file), tensors));
        let both = tensors_a.zip(tensors_b);
        (path, FileChange { file: Pair { a, b }, tensors: both.map(|(a, b)| pairs(a, b)) })
    };
    pairs(a, b).into_iter().map(change).collect()
}

/// Every layer of the manifest, with its place in the Kitfile where it has one.
fn infos(kit: &ModelKit) -> Vec<LayerInfo> {
    let layers: Vec<Layer<'_>> = kit.layers().collect();
    let info = |descriptor: &Descriptor| {
        let layer = layers.iter().find(|layer| std::ptr::eq(layer.descriptor, descriptor));
        let is_manifests = kit.manifests().is_some_and(|it| std::ptr::eq(it, descriptor));
        let other = if is_manifests { "manifests" } else { "" };
        LayerInfo {
            section: layer.map_or(other, |layer| Section::key(layer.section)).to_owned(),
            path: layer.map(|layer| layer.path.to_string()).unwrap_or_default(),
            digest: descriptor.digest().to_string(),
            bytes: descriptor.size(),
        }
    };
    kit.manifest().layers().iter().map(info).collect()
}
