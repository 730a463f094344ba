//! Keeps a blob and a manifest in a layout, and finds them again by a tag.

use kit_registry::{Layout, MediaType, Reference, content};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let layout = Layout::init(dir.path())?;

    // Blobs first, then the manifest that names them: one that names missing content is refused.
    let hold = layout.hold()?; // garbage collection waits until the tag stands
    let config = layout.put(MediaType::EmptyJSON, b"{}")?;
    let layer = layout.put("text/plain", b"hello")?;
    let manifest = content::ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type("application/vnd.example.greeting")
        .config(config)
        .layers([layer.clone()])
        .build()?;
    let descriptor = layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest))?;

    let reference: Reference = "demo/greeting:v1".parse()?;
    layout.tag(&descriptor, &reference)?;
    drop(hold);

    assert_eq!(layout.resolve(&reference)?, descriptor);
    assert_eq!(layout.read(&layer)?, b"hello");
    assert!(layout.verify(&descriptor)?.problems.is_empty());
    Ok(())
}
