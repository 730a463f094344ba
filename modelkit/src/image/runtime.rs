//! What an image says of the ModelKit that it serves.

use registry::content::{self, Descriptor, ImageConfiguration};

use super::{ImageConfig, MODELKIT, MODELKIT_DIGEST};
use crate::error::{Error, Result};
use crate::kit::parse_manifest;

/// Layers of an image that are none of the model: the binary, and the documents.
const N_OWN_LAYERS: usize = 2;

/// An image's ModelKit, as the image itself tells it; all empty for an image of another origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// The reference of the ModelKit, with its tag.
    pub modelkit: Option<String>,
    /// The digest of the ModelKit's manifest.
    pub modelkit_digest: Option<String>,
    /// Size in bytes of the ModelKit's layers in the image, as they are stored.
    pub model_bytes: u64,
}

impl Runtime {
    /// Reads an image's manifest and config.
    pub fn parse(manifest: &[u8], config: &[u8]) -> Result<Self> {
        let manifest = parse_manifest(&content::digest(manifest), manifest)?;
        let configuration: ImageConfiguration =
            serde_json::from_slice(config).map_err(|source| {
                let digest = content::digest(config);
                Error::Document { what: "image config", digest, source }
            })?;
        let config = ImageConfig::from(&configuration);
        let Some(digest) = config.labels.get(MODELKIT_DIGEST) else { return Ok(Self::default()) };
        let reference =
            config.env.iter().find(|(name, _)| name == MODELKIT).map(|(_, value)| value.clone());
        let layers = manifest.layers().iter().skip(N_OWN_LAYERS);
        Ok(Self {
            modelkit: reference,
            modelkit_digest: Some(digest.clone()),
            model_bytes: layers.map(Descriptor::size).fold(0, u64::saturating_add),
        })
    }
}
