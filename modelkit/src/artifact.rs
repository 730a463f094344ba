//! Files as an OCI artifact of one gzipped archive: the same files give the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

use kitfile::ContextPath;
use registry::content::{self, Descriptor, ImageManifestBuilder, MediaType};
use registry::{Blobs, Layout};
use serde_json::json;

use crate::archive::{self, Budget, Entry, Folder, Limits, Rules, extract_by};
use crate::compress::{Blob, Encoder, Sink, WrittenBlob};
use crate::error::{Error, Result};
use crate::kit::parse_manifest;
use crate::media_type::Compression;
use crate::time::rfc3339;

/// The annotation that says when it was made.
const CREATED: &str = "org.opencontainers.image.created";

/// What an artifact says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactOptions {
    /// The media type of its config, which is an image's config whatever it is called.
    pub config_type: MediaType,
    /// The media type of its layer, a gzipped tar archive.
    pub layer_type: MediaType,
    /// When it was made, in seconds since 1970, up to the year 9999.
    pub created: u64,
    /// Annotations of its manifest, beside the time.
    pub annotations: HashMap<String, String>,
}

/// Writes entries as an artifact into a layout; it gets no place in the layout's index.
pub fn artifact(
    entries: &[Entry],
    layout: &Layout,
    options: &ArtifactOptions,
) -> Result<Descriptor> {
    let _hold = layout.hold()?;
    let WrittenBlob { digest, size, diff_id } = archived(entries, Sink::Blob(layout.writer()?))?;
    let created = rfc3339(options.created)?;
    // As Flux writes it: an image of no platform.
    let config = json!({
        "architecture": "", "os": "", "created": created, "config": {},
        "rootfs": { "type": "layers", "diff_ids": [diff_id.to_string()] },
    });
    let config = layout.put(options.config_type.clone(), &content::encode(&config))?;
    let mut annotations = options.annotations.clone();
    annotations.insert(CREATED.to_owned(), created);
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(vec![Descriptor::new(options.layer_type.clone(), size, digest)])
        .annotations(annotations)
        .build()
        .expect("all that a manifest needs is given");
    Ok(layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest))?)
}

/// Entries as a gzipped archive.
pub(crate) fn archived(entries: &[Entry], sink: Sink) -> Result<WrittenBlob> {
    let mut encoder = Encoder::new(sink, Compression::Gzip)?;
    archive::write(entries, &mut encoder, &|_| ControlFlow::Continue(()))?;
    encoder.commit()
}

/// Unpacks a layer of an artifact into an empty folder, as Flux takes it: a gzipped archive, the first
/// one of a media type, or of any. Returns the manifest's annotations. The manifest is one whose
/// digest was verified; its blob is held to its own.
pub fn unpack_artifact(
    blobs: &dyn Blobs,
    manifest: &[u8],
    media_type: Option<&str>,
    into: &Path,
) -> Result<BTreeMap<String, String>> {
    let digest = content::digest(manifest);
    let manifest = parse_manifest(&digest, manifest)?;
    let is_asked =
        |layer: &&Descriptor| media_type.is_none_or(|it| layer.media_type().to_string() == it);
    let Some(layer) = manifest.layers().iter().find(is_asked) else {
        let problem = match media_type {
            Some(media_type) => format!("it has no layer with the media type '{media_type}'"),
            None => "it has no layer".to_owned(),
        };
        return Err(Error::NotAnImage { digest, problem });
    };
    let budget = Budget::of(&Limits::default(), [layer]);
    let blob = Blob {
        blobs,
        descriptor: layer,
        compression: Compression::Gzip,
        diff_id: None,
        budget: &budget,
    };
    let folder = Folder::open(into)?;
    let root = ContextPath::root();
    blob.read(|stream| {
        extract_by(&Rules::new(&budget, &root), stream, &folder, 1, &|_| ControlFlow::Continue(()))
    })?;
    let annotations = manifest.annotations().clone().unwrap_or_default();
    Ok(annotations.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Content;

    #[test]
    fn the_same_files_give_the_same_artifact() {
        let make = |text: &str| {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::init(dir.path()).unwrap();
            let content = Content::Bytes { bytes: text.into(), executable: false };
            let entries = [Entry { path: "a.yaml".to_owned(), content }];
            let options = ArtifactOptions {
                config_type: "application/vnd.cncf.flux.config.v1+json".into(),
                layer_type: MediaType::ImageLayerGzip,
                created: 1_700_000_000,
                annotations: HashMap::from([("a".to_owned(), "b".to_owned())]),
            };
            let descriptor = artifact(&entries, &layout, &options).unwrap();
            let manifest = layout.read(&descriptor).unwrap();
            let into = tempfile::tempdir().unwrap();
            unpack_artifact(&layout, &manifest, None, into.path()).unwrap();
            assert_eq!(fs_err::read_to_string(into.path().join("a.yaml")).unwrap(), text);
            (manifest, layout.verify(&descriptor).unwrap().problems.len())
        };
        let (manifest, n_problems) = make("x");
        assert_eq!((&manifest, n_problems), (&make("x").0, 0));
        assert_ne!(manifest, make("y").0);
        let text = String::from_utf8(manifest).unwrap();
        let created =
            r#""annotations":{"a":"b","org.opencontainers.image.created":"2023-11-14T22:13:20Z"}"#;
        assert!(text.contains(created), "{text}");
    }
}
