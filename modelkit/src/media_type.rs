//! The media types of ModelKits, KitOps' own and CNCF ModelPack's.

use std::fmt;
use std::str::FromStr;

use kitfile::Section;
use registry::content::MediaType;

use crate::error::{Error, Result};

/// The `artifactType` of a KitOps ModelKit's manifest.
pub const MANIFEST: &str = "application/vnd.kitops.modelkit.manifest.v1+json";
/// The media type of a KitOps ModelKit's config, the Kitfile as JSON.
pub const CONFIG: &str = "application/vnd.kitops.modelkit.config.v1+json";
/// The `artifactType` of a CNCF ModelPack's manifest.
pub const MODELPACK_MANIFEST: &str = "application/vnd.cncf.model.manifest.v1+json";
/// The media type of a CNCF ModelPack's config.
pub const MODELPACK_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";

/// The media type of what Flux packs a folder as, a gzipped archive; a ModelKit may carry one with
/// the manifests by which it is deployed.
pub const FLUX_CONTENT: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

/// The annotation with a layer's path in the context.
pub const FILEPATH: &str = "org.cncf.model.filepath";
/// The annotation with a file's name as `oras`, `podman` and CRI-O read it.
pub const TITLE: &str = "org.opencontainers.image.title";
/// The artifact type of KitOps' index of ModelKits.
pub const INDEX: &str = "application/vnd.kitops.modelkit.index.v1+json";
/// The annotation of an index's entry with the tag that the ModelKit had.
pub const ORIGINAL_TAG: &str = "ml.kitops.modelkit.original-tag";
/// The annotation with the time of packing.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The annotation with the mode and size of a raw layer's file, as JSON.
pub const FILE_METADATA: &str = "org.cncf.model.file.metadata+json";
/// The annotation that tells prompts from code.
pub const LAYER_SUBTYPE: &str = "ml.kitops.modelkit.layer-subtype";
/// The value of [`LAYER_SUBTYPE`] for prompts.
pub const SUBTYPE_PROMPT: &str = "prompt";
/// The annotation with the version of the program that packed.
pub const CLI_VERSION: &str = "ml.kitops.modelkit.cli-version";
/// The annotation with the Kitfile of a ModelPack that KitOps made.
pub const KITFILE_JSON: &str = "ml.kitops.modelkit.kitfile";

/// Whose names a media type is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    #[default]
    /// `application/vnd.kitops.modelkit.…`.
    KitOps,
    /// `application/vnd.cncf.model.…`.
    ModelPack,
}

/// What a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The model itself.
    Model,
    /// A further part of the model: an adapter, a tokenizer.
    ModelPart,
    /// A dataset.
    Dataset,
    /// Code, and prompts, which an annotation tells apart.
    Code,
    /// Documentation.
    Docs,
    /// An MCP bundle.
    Mcpb,
}

/// How a layer's files lie in its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// A tar archive.
    #[default]
    Tar,
    /// The bytes of exactly one file.
    Raw,
}

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all; weights hardly shrink, and equal files give equal blobs with every tool.
    #[default]
    None,
    /// gzip at its usual level.
    Gzip,
    /// gzip at its fastest level.
    GzipFastest,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// What follows the format in a media type.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip | Self::GzipFastest => "+gzip",
            Self::Zstd => "+zstd",
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// Reads the values of `kit pack --compression`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "gzip-fastest" => Ok(Self::GzipFastest),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Error::Compression(text.into())),
        }
    }
}

/// A layer's media type, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerType {
    /// Whose names it is written in.
    pub family: Family,
    /// What the layer holds.
    pub kind: Kind,
    /// How its files lie in the blob.
    pub format: Format,
    /// How the blob is compressed.
    pub compression: Compression,
}

impl Kind {
    /// The kind of layer that holds an entry of this section.
    pub fn of(section: Section) -> Self {
        match section {
            Section::Model => Self::Model,
            Section::ModelPart => Self::ModelPart,
            Section::Code | Section::Prompt => Self::Code,
            Section::Dataset => Self::Dataset,
            Section::Docs => Self::Docs,
            Section::McpServer => Self::Mcpb,
        }
    }

    fn name(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Model, Family::KitOps) => "model",
            (Self::Model, Family::ModelPack) => "weight",
            (Self::ModelPart, Family::KitOps) => "modelpart",
            (Self::ModelPart, Family::ModelPack) => "weight.config",
            (Self::Dataset, _) => "dataset",
            (Self::Code, _) => "code",
            (Self::Docs, Family::KitOps) => "docs",
            (Self::Docs, Family::ModelPack) => "doc",
            (Self::Mcpb, _) => "mcpb",
        }
    }

    fn parse(name: &str, family: Family) -> Option<Self> {
        let all = [Self::Model, Self::ModelPart, Self::Dataset, Self::Code, Self::Docs, Self::Mcpb];
        all.into_iter().find(|kind| kind.name(family) == name)
    }
}

impl fmt::Display for LayerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.family {
            Family::KitOps => "application/vnd.kitops.modelkit",
            Family::ModelPack => "application/vnd.cncf.model",
        };
        let format = match self.format {
            Format::Tar => "tar",
            Format::Raw => "raw",
        };
        write!(
            f,
            "{prefix}.{}.v1.{format}{}",
            self.kind.name(self.family),
            self.compression.suffix()
        )
    }
}

impl FromStr for LayerType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| Error::MediaType(text.into()))
    }
}

/// How media types of layers begin. ModelPack had another name up to v0.0.6.
const PREFIXES: [(&str, Family); 3] = [
    ("application/vnd.kitops.modelkit.", Family::KitOps),
    ("application/vnd.cncf.model.", Family::ModelPack),
    ("application/vnd.cnai.model.", Family::ModelPack),
];

fn parse(text: &str) -> Option<LayerType> {
    let (family, rest) =
        PREFIXES.iter().find_map(|(prefix, family)| Some((*family, text.strip_prefix(prefix)?)))?;
    let (kind, rest) = rest.split_once(".v1.")?;
    let kind = Kind::parse(kind, family)?;
    let (format, compression) =
        rest.split_once('+').map_or((rest, None), |(format, rest)| (format, Some(rest)));
    let format = match format {
        "tar" => Format::Tar,
        "raw" => Format::Raw,
        // So Docker Model Runner names single files of weights.
        "gguf" | "safetensors" if family == Family::ModelPack => Format::Raw,
        _ => return None,
    };
    let compression = match compression {
        None => Compression::None,
        Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        Some(_) => return None,
    };
    Some(LayerType { family, kind, format, compression })
}

/// How the archive of an image's layer is compressed; none where it is of no such type.
pub(crate) fn image_layer(media_type: &MediaType) -> Option<Compression> {
    match media_type {
        MediaType::ImageLayer => Some(Compression::None),
        MediaType::ImageLayerGzip => Some(Compression::Gzip),
        MediaType::ImageLayerZstd => Some(Compression::Zstd),
        MediaType::Other(other) if other == "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Some(Compression::Gzip)
        }
        _ => None,
    }
}

/// Whether a config or an artifact is a ModelPack's, under its name of now or that of before.
pub(crate) fn is_modelpack(media_type: &str) -> bool {
    let current = media_type.replacen("vnd.cnai.", "vnd.cncf.", 1);
    [MODELPACK_CONFIG, MODELPACK_MANIFEST].contains(&current.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_type_is_read_as_it_is_written() {
        let kinds =
            [Kind::Model, Kind::ModelPart, Kind::Dataset, Kind::Code, Kind::Docs, Kind::Mcpb];
        for kind in kinds {
            for family in [Family::KitOps, Family::ModelPack] {
                for format in [Format::Tar, Format::Raw] {
                    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                        let layer_type = LayerType { family, kind, format, compression };
                        assert_eq!(
                            layer_type.to_string().parse::<LayerType>().unwrap(),
                            layer_type
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_those_of_the_two_specifications() {
        let kitops =
            "application/vnd.kitops.modelkit.modelpart.v1.tar+gzip".parse::<LayerType>().unwrap();
        assert_eq!((kitops.kind, kitops.compression), (Kind::ModelPart, Compression::Gzip));
        let modelpack =
            "application/vnd.cncf.model.weight.config.v1.raw".parse::<LayerType>().unwrap();
        assert_eq!((modelpack.kind, modelpack.format), (Kind::ModelPart, Format::Raw));
        for text in [
            "application/vnd.cnai.model.weight.v1.raw",
            "application/vnd.cncf.model.weight.v1.gguf",
        ] {
            let foreign = text.parse::<LayerType>().unwrap();
            assert_eq!((foreign.kind, foreign.format), (Kind::Model, Format::Raw), "{text}");
        }
    }

    #[test]
    fn other_media_types_are_refused_by_name() {
        for text in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.kitops.modelkit.model.v2.tar",
            "application/vnd.kitops.modelkit.weight.v1.tar",
            "application/vnd.kitops.modelkit.model.v1.tar+bzip2",
            "application/vnd.kitops.modelkit.model.v1.zip",
            "",
        ] {
            let error = text.parse::<LayerType>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{text}` is not a media type of a ModelKit layer")
            );
        }
    }
}
