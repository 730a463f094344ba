//! A ModelKit as it lies in a layout.

mod index;
mod links;
mod modelpack;

use std::collections::HashSet;

pub use index::IndexMember;
use kitfile::{ContextPath, Kitfile, Section};
use registry::Layout;
use registry::content::{self, Descriptor, Digest, Hasher, ImageManifest};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::media_type::{self, FLUX_CONTENT, LayerType};

/// A manifest, the Kitfile that belongs to it, and which of the one's layers is which of the
/// other's entries.
#[derive(Debug, Clone)]
pub struct ModelKit {
    descriptor: Descriptor,
    /// A view of the bytes below.
    manifest: ImageManifest,
    manifest_bytes: Vec<u8>,
    kitfile: Kitfile,
    has_kitfile: bool,
    /// The JSON that the Kitfile was read from, or the config that it was guessed with.
    source: Vec<u8>,
    links: Vec<Link>,
}

/// What [`ModelKit::parse`] found out about an entry of the Kitfile.
#[derive(Debug, Clone)]
struct Link {
    /// The entry's number in [`Kitfile::entries`].
    entry: usize,
    /// The layer's number in the manifest.
    layer: usize,
    path: ContextPath,
    layer_type: LayerType,
    diff_id: Option<Digest>,
    /// Where its archive belongs; old versions of `kit` left out the folders that lead there.
    beneath: ContextPath,
}

/// A layer of a ModelKit.
#[derive(Debug, Clone)]
pub struct Layer<'a> {
    /// Its section of the Kitfile.
    pub section: Section,
    /// Its name in the Kitfile, if it has one.
    pub name: Option<&'a str>,
    /// Its path in the context.
    pub path: ContextPath,
    /// Its path as the Kitfile writes it.
    pub written_path: &'a str,
    /// Its media type, taken apart.
    pub layer_type: LayerType,
    /// Its blob; the size is in here.
    pub descriptor: &'a Descriptor,
    /// Digest of its bytes before compression, where it is known.
    pub diff_id: Option<&'a Digest>,
    pub(crate) beneath: &'a ContextPath,
}

impl Layer<'_> {
    /// Where all its files lie, as its archive names them.
    pub(crate) fn path_in_archive(&self) -> ContextPath {
        // What leads to the path is left out, so that its last part is left.
        let last = self.path.file_name().filter(|_| !self.beneath.is_root());
        last.and_then(|name| name.parse().ok()).unwrap_or_else(|| self.path.clone())
    }

    /// Whether a raw layer says that its file may be executed.
    pub(crate) fn is_executable(&self) -> bool {
        let annotations = self.descriptor.annotations().as_ref();
        let metadata =
            annotations.and_then(|annotations| annotations.get(media_type::FILE_METADATA));
        let metadata = metadata.and_then(|text| serde_json::from_str::<Value>(text).ok());
        metadata
            .and_then(|metadata| metadata.get("mode")?.as_u64())
            .is_some_and(|mode| mode & 0o100 != 0)
    }
}

impl ModelKit {
    /// Reads a ModelKit that lies in a layout: its manifest and its config, not its layers.
    pub fn read(layout: &Layout, descriptor: &Descriptor) -> Result<Self> {
        let manifest = layout.read(descriptor)?;
        let config = layout.read(&config_descriptor(&manifest)?)?;
        Self::parse(descriptor.clone(), manifest, &config)
    }

    /// Makes a ModelKit of its documents, which are held to their digests: one of KitOps, new or
    /// old, or a CNCF ModelPack.
    pub fn parse(descriptor: Descriptor, manifest_bytes: Vec<u8>, config: &[u8]) -> Result<Self> {
        let digest = descriptor.digest();
        let hold = |what: &str, bytes: &[u8], expected: &Digest| -> Result<()> {
            let mut hasher = Hasher::new(expected.algorithm())?;
            hasher.update(bytes);
            match hasher.finish() {
                found if found == *expected => Ok(()),
                found => Err(Error::NotAModelKit {
                    digest: digest.clone(),
                    problem: format!("its {what} is {found}, not {expected}"),
                }),
            }
        };
        hold("manifest", &manifest_bytes, digest)?;
        let manifest = parse_manifest(digest, &manifest_bytes)?;
        hold("config", config, manifest.config().digest())?;
        let kitfile_of = |json: &[u8]| {
            let kitfile = Kitfile::from_json(json)
                .map_err(|source| Error::Config { digest: digest.clone(), source })?;
            Ok::<_, Error>((kitfile, true, json.to_vec()))
        };
        let config_type = manifest.config().media_type().to_string();
        let artifact_type =
            manifest.artifact_type().as_ref().map(ToString::to_string).unwrap_or_default();
        let (kitfile, has_kitfile, source) = if config_type == media_type::CONFIG
            || artifact_type == media_type::MANIFEST
        {
            kitfile_of(config)?
        } else if media_type::is_modelpack(&config_type) || media_type::is_modelpack(&artifact_type)
        {
            let annotations = manifest.annotations().as_ref();
            match annotations.and_then(|annotations| annotations.get(media_type::KITFILE_JSON)) {
                Some(json) => kitfile_of(json.as_bytes())?,
                None => {
                    (modelpack::kitfile(&descriptor, &manifest, config)?, false, config.to_vec())
                }
            }
        } else {
            let problem = format!("its config is of type {config_type}");
            return Err(Error::NotAModelKit { digest: digest.clone(), problem });
        };
        let links = links::links(digest, &manifest, &kitfile)?;
        Ok(Self { descriptor, manifest, manifest_bytes, kitfile, has_kitfile, source, links })
    }

    /// The manifest's descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The manifest's digest, which names the ModelKit.
    pub fn digest(&self) -> &Digest {
        self.descriptor.digest()
    }

    /// The manifest, as a view of its bytes.
    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// The manifest as it was made, byte for byte.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// The Kitfile, with the digests of its layers.
    pub fn kitfile(&self) -> &Kitfile {
        &self.kitfile
    }

    /// Whether the Kitfile came with the ModelKit, and was not guessed from its layers.
    pub fn has_kitfile(&self) -> bool {
        self.has_kitfile
    }

    /// The JSON that the Kitfile came in, with all that this version does not know; or, where none
    /// came, the config that it was guessed with.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The layer with the manifests by which the ModelKit is deployed, if it carries one: what an
    /// OCIRepository of Flux picks by its media type.
    pub fn manifests(&self) -> Option<&Descriptor> {
        let is_it = |layer: &&Descriptor| layer.media_type().to_string() == FLUX_CONTENT;
        self.manifest.layers().iter().find(is_it)
    }

    /// What is in the ModelKit that this version has no use for, in words: fields of its Kitfile,
    /// and layers that belong to no entry. All of it goes wherever the ModelKit goes.
    pub fn left_out(&self) -> Vec<String> {
        let unknown =
            if self.has_kitfile { kitfile::unknown_fields(&self.source) } else { Vec::new() };
        let linked: HashSet<&Digest> =
            self.links.iter().map(|link| self.manifest.layers()[link.layer].digest()).collect();
        let known = self.manifests().map(Descriptor::digest);
        let layers = self
            .manifest
            .layers()
            .iter()
            .filter(|layer| !linked.contains(layer.digest()) && known != Some(layer.digest()));
        let layers: Vec<String> =
            layers.map(|layer| format!("{} ({})", layer.digest(), layer.media_type())).collect();
        let fields = (!unknown.is_empty()).then(|| {
            let names = unknown.join(", ");
            format!(
                "{} of its Kitfile that this version does not know: {names}",
                counted(unknown.len(), "field")
            )
        });
        let layers = (!layers.is_empty()).then(|| {
            let names = layers.join(", ");
            format!(
                "{} that no entry of its Kitfile names: {names}",
                counted(layers.len(), "layer")
            )
        });
        let say = |what| format!("{} has {what}", self.digest());
        fields.into_iter().chain(layers).map(say).collect()
    }

    /// The layers that belong to entries of the Kitfile, in its order.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        let entries: Vec<_> = self.kitfile.entries().collect();
        self.links.iter().map(move |link| {
            let entry = entries[link.entry];
            Layer {
                section: entry.section,
                name: entry.name,
                path: link.path.clone(),
                written_path: entry.path,
                layer_type: link.layer_type,
                descriptor: &self.manifest.layers()[link.layer],
                diff_id: link.diff_id.as_ref(),
                beneath: &link.beneath,
            }
        })
    }

    /// When it was packed, as it says itself.
    pub fn created(&self) -> Option<&str> {
        self.annotation(media_type::CREATED)
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.manifest.annotations().as_ref()?.get(key).map(String::as_str)
    }

    /// Size in bytes of all its layers as they are stored, and of its config and manifest.
    pub fn size(&self) -> u64 {
        let layers: u64 =
            self.manifest.layers().iter().map(Descriptor::size).fold(0, u64::saturating_add);
        layers + self.manifest.config().size() + self.descriptor.size()
    }
}

/// The config that a manifest names, of a ModelKit or of an image; it is to be read before either
/// can be parsed.
pub fn config_descriptor(manifest: &[u8]) -> Result<Descriptor> {
    Ok(parse_manifest(&content::digest(manifest), manifest)?.config().clone())
}

/// Whether a manifest says that it is a ModelKit's or a ModelPack's.
pub(crate) fn is_modelkit(manifest: &ImageManifest) -> bool {
    let artifact_type = manifest.artifact_type().as_ref().map(ToString::to_string);
    let types = [Some(manifest.config().media_type().to_string()), artifact_type];
    types.iter().flatten().any(|it| {
        [media_type::CONFIG, media_type::MANIFEST].contains(&it.as_str())
            || media_type::is_modelpack(it)
    })
}

/// Parses a manifest; `kit` up to 1.15 writes `null` where there are no layers.
pub(crate) fn parse_manifest(digest: &Digest, bytes: &[u8]) -> Result<ImageManifest> {
    let document = |source| Error::Document { what: "manifest", digest: digest.clone(), source };
    let mut value: Value = serde_json::from_slice(bytes).map_err(document)?;
    if let Some(layers @ Value::Null) = value.get_mut("layers") {
        *layers = Value::Array(Vec::new());
    }
    if value.get("config").is_none()
        && let Some((of_modelkits, members)) = index::members(&value)
    {
        return Err(Error::Index { digest: digest.clone(), of_modelkits, members });
    }
    serde_json::from_value(value).map_err(document)
}

/// A number of things, in words.
pub(crate) fn counted(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}
