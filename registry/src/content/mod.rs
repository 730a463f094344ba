//! OCI documents, their digests, and the one encoder that turns them into bytes.
//!
//! The document types are `oci-spec`'s. A document made elsewhere travels as the bytes it came in:
//! its parsed form is a view, never the source, because encoding it again would drop fields unknown
//! here and change its digest.

mod document;
mod hash;

pub(crate) use document::check_document_size;
#[cfg(feature = "client")]
pub(crate) use document::media_type_by_links;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) use document::own_media_type;
pub use document::{Document, MAX_DOCUMENT_SIZE, is_index, is_manifest};
pub use hash::Hasher;
pub use oci_spec::image::{
    Arch, Config, ConfigBuilder, Descriptor, DescriptorBuilder, Digest, DigestAlgorithm, History,
    HistoryBuilder, ImageConfiguration, ImageConfigurationBuilder, ImageIndex, ImageIndexBuilder,
    ImageManifest, ImageManifestBuilder, MediaType, Os, RootFs, RootFsBuilder,
};
use serde::Serialize;

use crate::{ContentError, Error, Result};

/// The annotation of an index entry that holds its tag (image-spec, "Image Layout", `index.json`).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Encodes a document: compact JSON, with the keys of every object sorted by their bytes.
///
/// Equal values give equal bytes whatever map holds them, and whatever features a dependency turns
/// on.
pub fn encode(document: &impl Serialize) -> Vec<u8> {
    let mut value =
        serde_json::to_value(document).expect("documents have text keys and finite numbers");
    value.sort_all_objects();
    serde_json::to_vec(&value).expect("writing to memory does not fail")
}

/// Computes the SHA-256 digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// Describes `bytes` by media type, size and SHA-256 digest.
pub fn descriptor(media_type: impl Into<MediaType>, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type.into(), bytes.len() as u64, digest(bytes))
}

/// Parses a digest that content can be stored under: `sha256` or `sha512`, with lower-case hex of
/// the exact length.
///
/// Only such a digest ever becomes a path or a part of a URL (the class of CVE-2024-37032 and
/// CVE-2024-3727).
pub fn parse_digest(text: &str) -> Result<Digest> {
    let refuse =
        |reason: String| Error::from(ContentError::InvalidDigest { text: text.into(), reason });
    let digest: Digest =
        text.parse().map_err(|error: oci_spec::OciSpecError| refuse(error.to_string()))?;
    check_algorithm(&digest)?;
    Ok(digest)
}

/// Refuses a digest whose algorithm is neither SHA-256 nor SHA-512.
pub(crate) fn check_algorithm(digest: &Digest) -> Result<()> {
    Hasher::new(digest.algorithm()).map(drop).map_err(|_| {
        ContentError::InvalidDigest {
            text: digest.to_string(),
            reason: "only sha256 and sha512 are supported".into(),
        }
        .into()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn encode_sorts_keys_at_every_level() {
        let text = r#"{"b":[{"z":1,"a":{"y":null,"x":"\u00e9\"<"}}],"a":1.5}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            String::from_utf8(encode(&value)).unwrap(),
            r#"{"a":1.5,"b":[{"a":{"x":"é\"<","y":null},"z":1}]}"#
        );
    }

    #[test]
    fn equal_annotations_encode_equally_whatever_their_order_in_memory() {
        let with = |keys: &mut dyn Iterator<Item = u32>| {
            let mut it = descriptor(MediaType::ImageLayer, b"x");
            it.set_annotations(Some(
                keys.map(|k| (format!("key{k}"), "v".to_owned())).collect::<HashMap<_, _>>(),
            ));
            encode(&it)
        };
        assert_eq!(with(&mut (0..50)), with(&mut (0..50).rev()));
    }

    #[test]
    fn the_empty_descriptor_has_its_well_known_digest() {
        let empty = descriptor(MediaType::EmptyJSON, b"{}");
        assert_eq!(
            empty.digest().as_ref(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
        assert_eq!(empty.size(), 2);
    }

    #[test]
    fn only_exact_sha256_and_sha512_digests_parse() {
        let hex = "0123456789abcdef".repeat(4);
        for good in [format!("sha256:{hex}"), format!("sha512:{hex}{hex}")] {
            assert_eq!(parse_digest(&good).unwrap().as_ref(), good);
        }
        let bad = [
            String::new(),
            "sha256:".into(),
            hex.clone(),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:../../{}", &hex[6..]),
            format!("sha512:{hex}"),
            format!("sha384:{hex}{}", &hex[..32]),
            format!("blake3:{hex}"),
            format!("../sha256:{hex}"),
            format!("sha256-{hex}"),
        ];
        for text in bad {
            assert!(
                matches!(
                    parse_digest(&text),
                    Err(Error::Content(ContentError::InvalidDigest { .. }))
                ),
                "{text} was taken for a digest"
            );
        }
    }
}
