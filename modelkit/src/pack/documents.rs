//! The two documents of a ModelKit: its config and its manifest.

use std::collections::HashMap;

use kitfile::Kitfile;
use registry::content::{self, Descriptor, Digest, ImageManifestBuilder, MediaType};

use super::layer::PackedLayer;
use super::modelpack;
use super::options::PackOptions;
use crate::error::Result;
use crate::media_type::{self, Family};
use crate::time::rfc3339;

/// The config with its media type, and the manifest.
pub(super) struct Documents {
    pub(super) config: (&'static str, Vec<u8>),
    pub(super) manifest: Vec<u8>,
}

/// Writes both, with the layer of manifests behind those of the Kitfile, as the program of this version would.
pub(super) fn documents(
    kitfile: &Kitfile,
    layers: &[PackedLayer],
    manifests: Option<Descriptor>,
    options: &PackOptions,
    version: &str,
) -> Result<Documents> {
    let mut annotations = HashMap::from([(media_type::CLI_VERSION.to_owned(), version.to_owned())]);
    let created = options.created.map(rfc3339).transpose()?;
    annotations.extend(created.clone().map(|created| (media_type::CREATED.to_owned(), created)));
    let config = match options.family {
        Family::KitOps => (media_type::CONFIG, kitfile.to_json().into_bytes()),
        Family::ModelPack => {
            annotations.insert(media_type::KITFILE_JSON.to_owned(), kitfile.to_json());
            let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
            let config = modelpack::config(kitfile, &diff_ids, &created.unwrap_or_default());
            (media_type::MODELPACK_CONFIG, config)
        }
    };
    let layers = layers.iter().map(|layer| layer.descriptor.clone()).chain(manifests).collect();
    let manifest =
        manifest(content::descriptor(config.0, &config.1), layers, annotations, options.family);
    Ok(Documents { config, manifest })
}

fn manifest(
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: HashMap<String, String>,
    family: Family,
) -> Vec<u8> {
    let artifact_type = match family {
        Family::KitOps => media_type::MANIFEST,
        Family::ModelPack => media_type::MODELPACK_MANIFEST,
    };
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type(artifact_type)
        .config(config)
        .layers(layers)
        .annotations(annotations)
        .build()
        .expect("all that a manifest needs is given");
    content::encode(&manifest)
}
