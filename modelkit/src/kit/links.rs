//! Which layer of a manifest is which entry of the Kitfile.

use kitfile::{ContextPath, Entry, Kitfile};
use registry::content::{self, Descriptor, Digest, ImageManifest};

use super::Link;
use crate::archive::check_name;
use crate::error::{Error, Result};
use crate::media_type::{FILEPATH, Kind, LAYER_SUBTYPE, LayerType, SUBTYPE_PROMPT};
use crate::same_place;

/// Links by digest and path; for Kitfiles without digests, which `kit` wrote before 0.5.0, by order
/// among layers of a kind.
pub(super) fn links(
    digest: &Digest,
    manifest: &ImageManifest,
    kitfile: &Kitfile,
) -> Result<Vec<Link>> {
    let not_one = |problem: String| Error::NotAModelKit { digest: digest.clone(), problem };
    let entries: Vec<_> = kitfile.entries().collect();
    let n_with_digest =
        entries.iter().filter(|entry| entry.digest.is_some_and(|text| !text.is_empty())).count();
    if n_with_digest != 0 && n_with_digest != entries.len() {
        return Err(not_one("some of its Kitfile's entries have digests and some have not".into()));
    }
    let mut taken = vec![false; manifest.layers().len()];
    let link = |(index, entry): (usize, &Entry<'_>)| {
        let problem = |what: &str| not_one(format!("{} {what}", entry.place()));
        let path = entry
            .context_path()
            .map_err(|error| problem(&format!("has a path that is refused: {error}")))?;
        let layer = match entry.digest.filter(|_| n_with_digest > 0) {
            Some(digest) => by_digest(manifest, digest, &path),
            None => by_order(manifest, entry, &taken),
        };
        let layer = layer.ok_or_else(|| problem("has no layer"))?;
        taken[layer] = true;
        link(index, entry, layer, path, &manifest.layers()[layer]).map_err(|what| problem(&what))
    };
    let links: Vec<Link> = entries.iter().enumerate().map(link).collect::<Result<_>>()?;
    match same_place::find(links.iter().map(|link| link.path.as_str())) {
        Some((a, b)) => {
            Err(not_one(format!("its paths `{a}` and `{b}` are one place on some file systems")))
        }
        None => Ok(links),
    }
}

fn link(
    index: usize,
    entry: &Entry<'_>,
    layer: usize,
    path: ContextPath,
    descriptor: &Descriptor,
) -> Result<Link, String> {
    let layer_type =
        layer_type(descriptor).ok_or_else(|| format!("is of type {}", descriptor.media_type()))?;
    if let Some(annotated) = filepath(descriptor)
        && annotated.parse::<ContextPath>().ok().as_ref() != Some(&path)
    {
        return Err(format!("has the path {path}, but its layer has {annotated:?}"));
    }
    if !path.is_root() {
        check_name(path.as_str())
            .map_err(|error| format!("has a path that is refused: {error}"))?;
    }
    let diff_id = entry.diff_id.filter(|text| !text.is_empty());
    let diff_id =
        diff_id.map(content::parse_digest).transpose().map_err(|error| error.to_string())?;
    let is_old = entry.digest.is_none_or(str::is_empty);
    let beneath = if is_old { parent(&path) } else { ContextPath::root() };
    Ok(Link { entry: index, layer, path, layer_type, diff_id, beneath })
}

/// The layer with this digest; of several with equal content, the one with this path.
fn by_digest(manifest: &ImageManifest, digest: &str, path: &ContextPath) -> Option<usize> {
    let has_path = |descriptor: &Descriptor| {
        filepath(descriptor).and_then(|text| text.parse().ok()).as_ref() == Some(path)
    };
    let found = || {
        manifest.layers().iter().enumerate().filter(|(_, layer)| layer.digest().as_ref() == digest)
    };
    found().find(|(_, layer)| has_path(layer)).or_else(|| found().next()).map(|(index, _)| index)
}

fn by_order(manifest: &ImageManifest, entry: &Entry<'_>, taken: &[bool]) -> Option<usize> {
    let is_prompt = |layer: &Descriptor| annotation(layer, LAYER_SUBTYPE) == Some(SUBTYPE_PROMPT);
    let fits = |layer: &Descriptor| {
        let kind = layer_type(layer).map(|layer_type| layer_type.kind);
        kind == Some(Kind::of(entry.section))
            && is_prompt(layer) == (entry.section == kitfile::Section::Prompt)
    };
    let layers = manifest.layers().iter().enumerate();
    layers.filter(|(index, layer)| !taken[*index] && fits(layer)).map(|(index, _)| index).next()
}

fn layer_type(descriptor: &Descriptor) -> Option<LayerType> {
    descriptor.media_type().to_string().parse().ok()
}

/// The path that a layer is annotated with.
pub(super) fn filepath(descriptor: &Descriptor) -> Option<&str> {
    annotation(descriptor, FILEPATH).or_else(|| annotation(descriptor, OLD_FILEPATH))
}

/// What ModelPack called that annotation up to v0.0.6.
const OLD_FILEPATH: &str = "org.cnai.model.filepath";

/// An annotation of a layer.
pub(super) fn annotation<'a>(descriptor: &'a Descriptor, key: &str) -> Option<&'a str> {
    descriptor.annotations().as_ref()?.get(key).map(String::as_str)
}

fn parent(path: &ContextPath) -> ContextPath {
    let parent = path.as_str().rsplit_once('/').map_or(".", |(parent, _)| parent);
    parent.parse().expect("a parent of a path inside is inside")
}
