//! An image layout on disk: what it holds, refuses, keeps and collects.

mod garbage;
mod index;
mod integrity;
mod sharing;

use std::path::Path;

use kit_registry::content::{self, ImageIndexBuilder, ImageManifestBuilder};
use kit_registry::{Descriptor, Layout, MediaType};
use tempfile::TempDir;

/// Makes a layout in a folder of its own.
pub(crate) fn new_layout() -> (TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::init(dir.path()).unwrap();
    (dir, layout)
}

/// Adds a manifest with a layer for each text, and its empty configuration.
pub(crate) fn put_image(layout: &Layout, layers: &[&str]) -> Descriptor {
    let config = layout.put(MediaType::EmptyJSON, b"{}").unwrap();
    let put = |text: &&str| layout.put("text/plain", text.as_bytes()).unwrap();
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type("application/vnd.example")
        .config(config)
        .layers(layers.iter().map(put).collect::<Vec<_>>())
        .build()
        .unwrap();
    layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap()
}

/// Adds an index of these manifests.
fn put_index(layout: &Layout, manifests: &[Descriptor]) -> Descriptor {
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()
        .unwrap();
    layout.put_manifest(MediaType::ImageIndex, &content::encode(&index)).unwrap()
}

/// The descriptor of a layer that [`put_image`] makes of a text.
fn layer(text: &str) -> Descriptor {
    content::descriptor("text/plain", text.as_bytes())
}

/// The paths of all files in a folder that hold content, sorted.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => found.push(path.strip_prefix(dir).unwrap().display().to_string()),
            }
        }
    }
    found.retain(|path| !path.starts_with('.'));
    found.sort();
    found
}
