//! What manifests and layers are, by their media types. The registry knows no ModelKit: it knows
//! what ModelKits and others call themselves.

use crate::content::{Descriptor, Document, MediaType, is_index};
use crate::server::route::Version;

/// What a layer's path in its ModelKit is written under.
const FILEPATH: &str = "org.cncf.model.filepath";
const TITLE: &str = "org.opencontainers.image.title";
pub(super) const CREATED: &str = "org.opencontainers.image.created";
/// What tells prompts from code.
const SUBTYPE: &str = "ml.kitops.modelkit.layer-subtype";
/// Where a ModelPack that KitOps made keeps its Kitfile.
pub(super) const KITFILE: &str = "ml.kitops.modelkit.kitfile";

/// How the types of ModelKits and ModelPacks begin, ModelPack's former name among them.
const MODELS: [(&str, Kind); 3] = [
    ("application/vnd.kitops.modelkit.", Kind::ModelKit),
    ("application/vnd.cncf.model.", Kind::ModelPack),
    ("application/vnd.cnai.model.", Kind::ModelPack),
];
/// A payload of cosign's older form of signatures, whose manifest calls itself an image.
const SIGNED_PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ModelKit,
    ModelPack,
    Image,
    /// Signatures of another manifest, of which its tag is made.
    Signatures,
    Index,
    Artifact,
}

impl Kind {
    pub(super) fn of(document: &Document) -> Self {
        if is_index(&document.media_type) {
            return Self::Index;
        }
        let config = document.config.as_ref().map(Descriptor::media_type);
        let types = document.artifact_type.iter().chain(config);
        for name in types.map(AsRef::<str>::as_ref) {
            if let Some((_, kind)) = MODELS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
                return *kind;
            }
        }
        let is_payload = |layer: &Descriptor| layer.media_type().as_ref() == SIGNED_PAYLOAD;
        if !document.layers.is_empty() && document.layers.iter().all(is_payload) {
            return Self::Signatures;
        }
        match &document.artifact_type {
            None | Some(MediaType::ImageConfig) => Self::Image,
            Some(other) if other.as_ref() == DOCKER_CONFIG => Self::Image,
            Some(_) => Self::Artifact,
        }
    }

    /// What a person calls it; an artifact is called by its type.
    pub(super) fn name(self, document: &Document) -> String {
        let artifact_type = document.artifact_type.as_ref().map(ToString::to_string);
        match self {
            Self::ModelKit => "ModelKit".into(),
            Self::ModelPack => "ModelPack".into(),
            Self::Image => "Image".into(),
            Self::Signatures if document.layers.len() == 1 => "Signature".into(),
            Self::Signatures => format!("{} signatures", document.layers.len()),
            Self::Index => "Index".into(),
            Self::Artifact => artifact_type.unwrap_or_else(|| "Artifact".into()),
        }
    }

    /// Says whether a model can be taken out of it.
    pub(super) fn is_model(self) -> bool {
        matches!(self, Self::ModelKit | Self::ModelPack)
    }

    /// What to type to have it. With `has_images` the registry has the image of each ModelKit.
    pub(super) fn lines(
        self,
        host: &str,
        name: &str,
        version: &Version,
        has_images: bool,
    ) -> Vec<String> {
        let separator = if matches!(version, Version::Tag(_)) { ':' } else { '@' };
        let reference = format!("{host}/{name}{separator}{version}");
        match self {
            Self::Image => return vec![format!("docker pull {reference}")],
            Self::Signatures => return check(host, name, version).into_iter().collect(),
            _ => {}
        }
        let mut lines = vec![format!("kit-rs pull {reference}")];
        if self.is_model() {
            lines.push(format!("kit-rs unpack {reference} --dir FOLDER"));
            lines.push(format!("kit-rs serve {reference}"));
            if let Version::Tag(tag) = version {
                let image = format!("{host}/{name}/kit-rs:{tag}");
                lines.push(match has_images {
                    true => format!("docker run -p 8000:8000 {image}"),
                    false => format!("kit-rs image build {reference} --tag {image}"),
                });
            }
        }
        lines
    }
}

/// How to check what signatures are of, which their tag says: `sha256-….sig`.
fn check(host: &str, name: &str, version: &Version) -> Option<String> {
    let Version::Tag(tag) = version else { return None };
    let digest = tag.strip_suffix(".sig")?.replacen('-', ":", 1);
    let digest = crate::content::parse_digest(&digest).ok()?;
    Some(format!("kit-rs verify {host}/{name}@{digest} --key KEY"))
}

/// Which section of a Kitfile a layer is of; empty where it is of none.
pub(super) fn section(layer: &Descriptor) -> &'static str {
    let name: &str = layer.media_type().as_ref();
    let rest = MODELS.iter().find_map(|(prefix, _)| name.strip_prefix(prefix));
    let Some((section, _)) = rest.and_then(|rest| rest.split_once(".v1.")) else { return "" };
    match section {
        "model" | "weight" => "model",
        "modelpart" | "weight.config" => "model part",
        "dataset" => "dataset",
        "code" if annotation(layer, SUBTYPE) == Some("prompt") => "prompt",
        "code" => "code",
        "docs" | "doc" => "docs",
        "mcpb" => "MCP server",
        _ => "",
    }
}

/// The path of what is in a layer.
pub(super) fn path(layer: &Descriptor) -> Option<&str> {
    annotation(layer, FILEPATH).or_else(|| annotation(layer, TITLE))
}

/// When a manifest's content was made, as its maker wrote it.
pub(super) fn created(document: &Document) -> Option<&str> {
    document.annotations.as_ref()?.get(CREATED).map(String::as_str)
}

/// The size of a manifest with what it names, in bytes.
pub(super) fn whole_size(descriptor: &Descriptor, document: &Document) -> u64 {
    document.children().fold(descriptor.size(), |sum, child| sum.saturating_add(child.size()))
}

/// A size for a person, in powers of 1024.
pub(super) fn human_size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in units {
        // What would be written as 1024.0 is one of the next unit.
        if size < 1023.95 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// An annotation of a descriptor.
pub(super) fn annotation<'a>(descriptor: &'a Descriptor, name: &str) -> Option<&'a str> {
    descriptor.annotations().as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_within_their_unit() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn layers_are_of_the_sections_of_both_families() {
        for (media_type, expected) in [
            ("application/vnd.kitops.modelkit.modelpart.v1.tar+gzip", "model part"),
            ("application/vnd.cncf.model.weight.v1.raw", "model"),
            ("application/vnd.cnai.model.doc.v1.tar", "docs"),
            ("application/vnd.kitops.modelkit.other.v1.tar", ""),
            ("application/vnd.oci.image.layer.v1.tar", ""),
        ] {
            let layer = crate::content::descriptor(media_type, b"");
            assert_eq!(section(&layer), expected, "{media_type}");
        }
    }
}
