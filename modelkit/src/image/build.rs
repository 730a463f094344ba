//! Builds: a binary, a ModelKit's documents and its layers into an image.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fs_err as fs;
use registry::Layout;
use registry::content::{
    self, ConfigBuilder, Descriptor, Digest, Hasher, ImageConfiguration, ImageConfigurationBuilder,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};

use super::binary::host;
use super::{BINARY, Binary, MANIFEST, MODELKIT, MODELKIT_DIGEST, WHITEOUT};
use crate::archive::{self, Budget, Content, Entry, Limits, Rules, for_each_file};
use crate::compress::{Blob, Encoder, Sink, WrittenBlob};
use crate::error::{Error, Result};
use crate::filter::{Filter, Part};
use crate::kit::{Layer, ModelKit};
use crate::media_type::{Compression, Format};
use crate::parents::{in_layout, inherited, parents};
use crate::time::rfc3339;

/// How to build an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOptions {
    /// The static binary that serves the model; it goes into the image as `/kit-rs`. None: an image
    /// that is not run but mounted by whatever serves, as Kubernetes' image volumes are.
    pub binary: Option<PathBuf>,
    /// Layers to take in beside those of the model.
    pub include: Vec<Filter>,
    /// Where the ModelKit came from: a reference with its tag.
    pub reference: Option<String>,
    /// The port to serve on.
    pub port: u16,
    /// When it was built, in seconds since 1970, up to the year 9999; without it the same inputs
    /// always give the same image.
    pub created: Option<u64>,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            binary: Some(PathBuf::from(BINARY)),
            include: Vec::new(),
            reference: None,
            port: 8000,
            created: None,
        }
    }
}

/// A layer of the image, and what it is before compression.
pub(super) struct ImageLayer {
    pub(super) descriptor: Descriptor,
    diff_id: Digest,
}

/// Builds the image that serves a ModelKit, in the layout that holds it, and gives the image a
/// place in the layout's index.
///
/// Its layers are, in this order: the binary, if any, which stays the same from model to model; the Kitfile
/// and the ModelKit's manifest, byte for byte; the ModelKit's own blobs under the media types of
/// images. Nothing of the model is copied or compressed again.
pub fn build(kit: &ModelKit, layout: &Layout, options: &ImageOptions) -> Result<Descriptor> {
    let _hold = layout.hold()?;
    let binary =
        options.binary.as_deref().map(|binary| binary_layer(layout, binary)).transpose()?;
    let mut layers: Vec<_> = binary.into_iter().collect();
    layers.extend(kit_layers(kit, layout, &options.include)?);
    let created = options.created.map(rfc3339).transpose()?;
    let config = match &options.binary {
        Some(_) => serving(options),
        None => ConfigBuilder::default(),
    };
    let config = config.labels(labels(kit, created.as_deref()));
    let architecture = architecture(options.binary.as_deref())?;
    let config = configuration(config, &architecture, created, &layers);
    put(layout, &config, layers, |manifest| manifest)
}

/// Puts an image's config and its manifest into the layout; `more` adds to the manifest.
pub(super) fn put(
    layout: &Layout,
    config: &ImageConfiguration,
    layers: Vec<ImageLayer>,
    more: impl FnOnce(ImageManifestBuilder) -> ImageManifestBuilder,
) -> Result<Descriptor> {
    let config = layout.put(MediaType::ImageConfig, &content::encode(config))?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers.into_iter().map(|layer| layer.descriptor).collect::<Vec<_>>());
    let manifest = more(manifest).build().expect("all that a manifest needs is given");
    let descriptor = layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest))?;
    layout.add(&descriptor)?;
    Ok(descriptor)
}

/// The ModelKit's documents, and the layers of its model and of what is included, as an image has
/// them.
pub(super) fn kit_layers(
    kit: &ModelKit,
    layout: &Layout,
    include: &[Filter],
) -> Result<Vec<ImageLayer>> {
    let mut layers = vec![document_layer(layout, kit)?];
    let include: Vec<_> =
        std::iter::once(Filter::part(Part::Model)).chain(include.iter().cloned()).collect();
    let is_wanted = |layer: &Layer<'_>| {
        include.iter().any(|filter| filter.matches(layer.section, layer.name, layer.written_path))
    };
    let parents = parents(kit.kitfile(), in_layout(layout))?;
    let wanted: Vec<_> = inherited(&parents).chain(kit.layers()).filter(is_wanted).collect();
    let budget = Budget::of(&Limits::default(), wanted.iter().map(|layer| layer.descriptor));
    for layer in &wanted {
        layers.push(model_layer(layout, layer, &budget)?);
    }
    Ok(layers)
}

pub(super) fn binary_layer(layout: &Layout, binary: &Path) -> Result<ImageLayer> {
    let source = fs::canonicalize(binary)?;
    let metadata = fs::metadata(&source)?;
    let content = Content::file(&source, &metadata, true);
    write_layer(layout, &[Entry { path: BINARY.into(), content }])
}

pub(super) fn document_layer(layout: &Layout, kit: &ModelKit) -> Result<ImageLayer> {
    let entry = |path: &str, bytes: Vec<u8>| Entry {
        path: path.into(),
        content: Content::Bytes { bytes, executable: false },
    };
    let kitfile = entry(kitfile::FILE_NAMES[0], kit.kitfile().to_yaml().into_bytes());
    write_layer(layout, &[kitfile, entry(MANIFEST, kit.manifest_bytes().to_vec())])
}

fn write_layer(layout: &Layout, entries: &[Entry]) -> Result<ImageLayer> {
    let mut encoder = Encoder::new(Sink::Blob(layout.writer()?), Compression::None)?;
    archive::write(entries, &mut encoder, &|_| ControlFlow::Continue(()))?;
    let WrittenBlob { digest, size, diff_id } = encoder.commit()?;
    Ok(ImageLayer { descriptor: Descriptor::new(MediaType::ImageLayer, size, digest), diff_id })
}

/// The ModelKit's blob as it is, under the media type of an image's layer, where whoever runs it
/// unpacks it over the layers before: so it is read, and holds the model and nothing else.
fn model_layer(layout: &Layout, layer: &Layer<'_>, budget: &Budget) -> Result<ImageLayer> {
    let (digest, path) = (layer.descriptor.digest().clone(), layer.path.to_string());
    if layer.layer_type.format == Format::Raw {
        let problem = "it is a single file, not an archive; pack it with tar layers";
        return Err(Error::ImageLayer { digest, path, problem });
    }
    if !layer.beneath.is_root() {
        let problem = "its archive does not say where it belongs; pack it again";
        return Err(Error::ImageLayer { digest, path, problem });
    }
    let within = layer.path_in_archive();
    let rules = Rules { refuse: is_of_the_image, ..Rules::new(budget, &within) };
    let blob = Blob {
        blobs: layout,
        descriptor: layer.descriptor,
        compression: layer.layer_type.compression,
        diff_id: layer.diff_id,
        budget,
    };
    blob.read(|stream| for_each_file(&rules, stream, &mut |_, _, _| Ok(())))?;
    let media_type = match layer.layer_type.compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip | Compression::GzipFastest => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    };
    let diff_id = match (layer.diff_id, layer.layer_type.compression) {
        (Some(diff_id), _) => diff_id.clone(),
        (None, Compression::None) => digest.clone(),
        (None, compression) => measured_diff_id(layout, layer.descriptor, compression)?,
    };
    Ok(ImageLayer {
        descriptor: Descriptor::new(media_type, layer.descriptor.size(), digest),
        diff_id,
    })
}

/// What would take the place of the image's own files, or would take files away.
fn is_of_the_image(path: &str) -> Option<&'static str> {
    let own = [BINARY, MANIFEST, kitfile::FILE_NAMES[0]];
    if path.split('/').next().is_some_and(|first| own.contains(&first)) {
        return Some("has the name of a file of the image's own");
    }
    let is_whiteout = path.split('/').any(|name| name.starts_with(WHITEOUT));
    is_whiteout.then_some("would take a file of the image away")
}

fn measured_diff_id(
    layout: &Layout,
    descriptor: &Descriptor,
    compression: Compression,
) -> Result<Digest> {
    let budget = Budget::of(&Limits::default(), [descriptor]);
    let blob = Blob { blobs: layout, descriptor, compression, diff_id: None, budget: &budget };
    blob.read(|stream| {
        let mut hasher = Hasher::default();
        let mut chunk = vec![0; 256 * 1024];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(n_read) => hasher.update(&chunk[..n_read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// Of what is mounted nothing runs, but a node takes only what is for its own kind.
pub(super) fn architecture(binary: Option<&Path>) -> Result<String> {
    binary.map_or_else(|| Ok(host()), |binary| Ok(Binary::read(binary)?.architecture))
}

/// The config of an image with these layers.
pub(super) fn configuration(
    config: ConfigBuilder,
    architecture: &str,
    created: Option<String>,
    layers: &[ImageLayer],
) -> ImageConfiguration {
    let config = config.build().expect("all that a config needs is given");
    let diff_ids = layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>();
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(diff_ids)
        .build()
        .expect("all that it needs is given");
    let mut configuration = ImageConfigurationBuilder::default()
        .architecture(architecture)
        .os(Os::Linux)
        .config(config)
        .rootfs(root)
        .build()
        .expect("all that a configuration needs is given");
    configuration.set_created(created);
    configuration
}

/// How the image is started. `::` is every address, of both families.
fn serving(options: &ImageOptions) -> ConfigBuilder {
    let reference = options.reference.as_ref().map(|reference| format!("{MODELKIT}={reference}"));
    started(options.port, reference, &["serve", "."])
}

/// How the binary is started in an image.
pub(super) fn started(port: u16, variable: Option<String>, args: &[&str]) -> ConfigBuilder {
    let mut env = vec!["KIT_RS_HOST=::".to_owned(), format!("KIT_RS_PORT={port}")];
    env.extend(variable);
    let program = format!("/{BINARY}");
    let entrypoint = std::iter::once(program.as_str()).chain(args.iter().copied());
    ConfigBuilder::default()
        .user("65532:65532")
        .exposed_ports(vec![format!("{port}/tcp")])
        .env(env)
        .entrypoint(entrypoint.map(str::to_owned).collect::<Vec<_>>())
        .working_dir("/")
}

/// What the Kitfile says, under the keys of the image-spec's `annotations.md`.
pub(super) fn labels(kit: &ModelKit, created: Option<&str>) -> HashMap<String, String> {
    let (package, model) = (&kit.kitfile().package, kit.kitfile().model.as_ref());
    let version = model
        .map(|model| &model.version)
        .filter(|version| !version.is_empty())
        .unwrap_or(&package.version);
    let license = model
        .map(|model| &model.license)
        .filter(|license| !license.is_empty())
        .unwrap_or(&package.license);
    let texts = [
        ("org.opencontainers.image.title", package.name.clone()),
        ("org.opencontainers.image.version", version.clone()),
        ("org.opencontainers.image.description", package.description.clone()),
        ("org.opencontainers.image.licenses", license.clone()),
        ("org.opencontainers.image.authors", package.authors.join(", ")),
        ("org.opencontainers.image.created", created.unwrap_or_default().to_owned()),
        (MODELKIT_DIGEST, kit.digest().to_string()),
    ];
    texts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), text))
        .collect()
}
