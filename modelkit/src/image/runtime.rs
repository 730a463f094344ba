//! What an image says of the ModelKit that it serves.

use registry::content::{self, Descriptor, ImageConfiguration};

use super::{BINARY, ImageConfig, MODELKIT, MODELKIT_DIGEST, PROGRAM};
use crate::error::{Error, Result};
use crate::kit::parse_manifest;
use crate::media_type;

/// An image's ModelKit, as the image itself tells it; all empty for an image of another origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// The reference of the ModelKit, with its tag.
    pub modelkit: Option<String>,
    /// The digest of the ModelKit's manifest.
    pub modelkit_digest: Option<String>,
    /// Whether the image has a program to start; one without is there to be mounted.
    pub serves: bool,
    /// Whether it is the server's program alone, which serves whatever it is given.
    pub is_program: bool,
    /// Size in bytes of the ModelKit's layers in the image, as they are stored.
    pub model_bytes: u64,
}

impl Runtime {
    /// Reads an image's manifest and config. A ModelKit is refused: it holds no program.
    pub fn parse(manifest: &[u8], config: &[u8]) -> Result<Self> {
        let digest = content::digest(manifest);
        let manifest = parse_manifest(&digest, manifest)?;
        let config_type = manifest.config().media_type().to_string();
        if config_type == media_type::CONFIG || media_type::is_modelpack(&config_type) {
            return Err(Error::NotAnImage { digest, problem: "it is a ModelKit".into() });
        }
        let configuration: ImageConfiguration =
            serde_json::from_slice(config).map_err(|source| {
                let digest = content::digest(config);
                Error::Document { what: "image config", digest, source }
            })?;
        let config = ImageConfig::from(&configuration);
        let is_program = config.labels.get(PROGRAM).is_some_and(|program| program == BINARY);
        let Some(digest) = config.labels.get(MODELKIT_DIGEST) else {
            return Ok(Self { is_program, ..Self::default() });
        };
        let reference =
            config.env.iter().find(|(name, _)| name == MODELKIT).map(|(_, value)| value.clone());
        // None of the model are the documents, and the binary where there is one.
        let serves = !config.entrypoint.is_empty();
        let layers = manifest.layers().iter().skip(1 + usize::from(serves));
        Ok(Self {
            serves,
            is_program,
            modelkit: reference,
            modelkit_digest: Some(digest.clone()),
            model_bytes: layers.map(Descriptor::size).fold(0, u64::saturating_add),
        })
    }
}
