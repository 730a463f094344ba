//! A manifest or an index as what it links to.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Descriptor, MediaType};
use crate::{ContentError, Result, content};

/// The largest document that is read into memory, in bytes (distribution-spec, "Pushing Manifests":
/// at least 4 MiB).
pub const MAX_DOCUMENT_SIZE: u64 = 4 * 1024 * 1024;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Says whether a media type is that of an image index (or Docker's manifest list).
pub fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageIndex) || media_type.as_ref() == DOCKER_INDEX
}

/// Says whether a media type is that of a document with links of its own: a manifest or an index.
pub fn is_manifest(media_type: &MediaType) -> bool {
    matches!(media_type, MediaType::ImageManifest)
        || media_type.as_ref() == DOCKER_MANIFEST
        || is_index(media_type)
}

/// Refuses what is larger than any document may be.
pub(crate) fn check_document_size(descriptor: &Descriptor) -> Result<()> {
    let (size, limit) = (descriptor.size(), MAX_DOCUMENT_SIZE);
    let what = || descriptor.digest().to_string();
    if size > limit {
        Err(ContentError::TooLarge { what: what(), size, limit }.into())
    } else {
        Ok(())
    }
}

/// What a manifest calls itself, for when nobody says what it is.
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) fn own_media_type(bytes: &[u8]) -> Option<MediaType> {
    // Everything else is passed over, not kept: a tree of a document is many times its size.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        media_type: String,
    }
    let named: Named = serde_json::from_slice(bytes).ok()?;
    Some(named.media_type.as_str().into())
}

/// What a manifest is that nothing else is said of: an index has `manifests`.
#[cfg(feature = "client")]
pub(crate) fn media_type_by_links(bytes: &[u8]) -> MediaType {
    let document: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    match document.get("manifests") {
        Some(_) => MediaType::ImageIndex,
        None => MediaType::ImageManifest,
    }
}

/// A manifest or an index, reduced to what it links to: the view that push, pull, garbage
/// collection and the registry share.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Document {
    /// The media type that it was given with.
    pub media_type: MediaType,
    /// The type of artifact: `artifactType`, else the configuration's media type
    /// (distribution-spec, "Listing Referrers").
    pub artifact_type: Option<MediaType>,
    /// The configuration; an index has none.
    pub config: Option<Descriptor>,
    /// The layers, in their order.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index, in their order.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// The annotations.
    pub annotations: Option<HashMap<String, String>>,
}

/// What a manifest and an index have between them; fields unknown here are left to the bytes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    media_type: Option<MediaType>,
    artifact_type: Option<MediaType>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<HashMap<String, String>>,
    fs_layers: Option<IgnoredAny>,
}

impl Document {
    /// Reads a manifest or an index.
    ///
    /// Refuses what two readers could take for two things (CVE-2021-41190): a `mediaType` other
    /// than the one given with it, or the links of both kinds.
    pub fn parse(media_type: &MediaType, bytes: &[u8]) -> Result<Self> {
        if !is_manifest(media_type) {
            return Err(ContentError::NotAManifest { media_type: media_type.to_string() }.into());
        }
        let what = || format!("manifest {}", content::digest(bytes));
        let size = bytes.len() as u64;
        if size > MAX_DOCUMENT_SIZE {
            return Err(
                ContentError::TooLarge { what: what(), size, limit: MAX_DOCUMENT_SIZE }.into()
            );
        }
        let fields: Fields = serde_json::from_slice(bytes)
            .map_err(|source| ContentError::InvalidDocument { what: what(), source })?;
        fields
            .check(media_type)
            .map_err(|reason| ContentError::AmbiguousManifest { what: what(), reason })?;
        Ok(fields.into_document(media_type.clone()))
    }

    /// Everything it needs to be complete: the configuration, the layers, and the manifests of an
    /// index. The subject is not among them: a referrer may come before what it refers to.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.manifests)
    }
}

impl Fields {
    fn check(&self, given: &MediaType) -> Result<(), String> {
        if let Some(own) = self.media_type.as_ref().filter(|own| *own != given) {
            return Err(format!("it came as {given} and calls itself {own}"));
        }
        let as_image = self.config.is_some() || self.layers.is_some() || self.fs_layers.is_some();
        match is_index(given) {
            true if as_image => Err("an index with a `config` or `layers`".into()),
            true if self.manifests.is_none() => Err("an index without `manifests`".into()),
            false if self.manifests.is_some() => Err("an image manifest with `manifests`".into()),
            false if self.fs_layers.is_some() => Err("an image manifest with `fsLayers`".into()),
            false if self.config.is_none() => Err("an image manifest without a `config`".into()),
            _ => Ok(()),
        }
    }

    fn into_document(self, media_type: MediaType) -> Document {
        let config_type = self.config.as_ref().map(|config| config.media_type().clone());
        Document {
            media_type,
            artifact_type: self.artifact_type.filter(|it| !it.as_ref().is_empty()).or(config_type),
            config: self.config,
            layers: self.layers.unwrap_or_default(),
            manifests: self.manifests.unwrap_or_default(),
            subject: self.subject,
            annotations: self.annotations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;

    fn parse(media_type: MediaType, fields: &str) -> Result<Document, String> {
        let text = format!(r#"{{"schemaVersion":2,{fields}}}"#);
        Document::parse(&media_type, text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_document_of_two_readings_is_refused_cve_2021_41190() {
        let cases = [
            (
                MediaType::ImageManifest,
                format!(r#""config":{CONFIG},"layers":[],"manifests":[]"#),
                "with `manifests`",
            ),
            (
                MediaType::ImageIndex,
                format!(r#""manifests":[],"config":{CONFIG}"#),
                "with a `config`",
            ),
            (
                MediaType::ImageIndex,
                r#""manifests":[],"layers":[]"#.into(),
                "with a `config` or `layers`",
            ),
            (MediaType::ImageManifest, format!(r#""config":{CONFIG},"fsLayers":[]"#), "fsLayers"),
            (
                MediaType::ImageManifest,
                format!(
                    r#""mediaType":"application/vnd.oci.image.index.v1+json","config":{CONFIG},"layers":[]"#
                ),
                "calls itself application/vnd.oci.image.index.v1+json",
            ),
        ];
        for (media_type, fields, expected) in cases {
            let error = parse(media_type, &fields).expect_err(&fields);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_document_must_be_a_manifest_of_bearable_size() {
        assert!(
            parse(MediaType::ImageConfig, r#""manifests":[]"#)
                .unwrap_err()
                .contains("not the media type of a manifest")
        );
        assert!(
            parse(MediaType::ImageManifest, r#""layers":[]"#)
                .unwrap_err()
                .contains("without a `config`")
        );
        let long = format!(r#""config":{CONFIG},"layers":[],"x":"{}""#, "x".repeat(4 << 20));
        assert!(
            parse(MediaType::ImageManifest, &long).unwrap_err().contains("more than the 4194304")
        );
    }

    #[test]
    fn the_artifact_type_falls_back_to_the_configuration() {
        let of = |fields: &str| {
            let fields = format!(r#""config":{CONFIG},"layers":[]{fields}"#);
            parse(MediaType::ImageManifest, &fields).unwrap().artifact_type.unwrap().to_string()
        };
        assert_eq!(of(""), "application/vnd.oci.empty.v1+json");
        assert_eq!(of(r#","artifactType":"application/x.y""#), "application/x.y");
    }
}
