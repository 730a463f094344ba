//! Garbage collection.

use kit_registry::{Collected, ContentError, Error, LayoutError};
use serde_json::json;

use super::{files, layer, new_layout, put_image, put_index};

#[test]
fn only_what_nothing_reaches_is_collected() {
    let (_dir, layout) = new_layout();
    let gone = put_image(&layout, &["shared", "only in gone"]);
    let kept = put_image(&layout, &["shared", "only in kept"]);
    let inner = put_index(&layout, &[put_image(&layout, &["nested"])]);
    let outer = put_index(&layout, &[inner]);
    layout.tag(&gone, &"demo/gone:1".parse().unwrap()).unwrap();
    layout.tag(&kept, &"demo/kept:1".parse().unwrap()).unwrap();
    layout.add(&outer).unwrap();
    let stray = layout.put("text/plain", b"stray").unwrap();

    assert_eq!(layout.collect_garbage([]).unwrap(), Collected { blobs: 1, bytes: stray.size() });
    assert_eq!(layout.collect_garbage([]).unwrap(), Collected::default());
    layout.remove(gone.digest()).unwrap();
    let bytes = gone.size() + layer("only in gone").size();
    assert_eq!(layout.collect_garbage([]).unwrap(), Collected { blobs: 2, bytes });
    for descriptor in [&kept, &outer] {
        assert!(layout.verify(descriptor).unwrap().problems.is_empty());
    }
    assert!(layout.contains(layer("nested").digest()), "two indexes deep, and without a tag");
}

#[test]
fn a_layout_that_is_held_is_not_collected() {
    let (_dir, layout) = new_layout();
    let hold = layout.hold().unwrap();
    let blob = layout.put("text/plain", b"not named yet").unwrap();
    assert!(matches!(layout.collect_garbage([]), Err(Error::Layout(LayoutError::InUse { .. }))));
    drop(hold);
    let writer = layout.writer().unwrap();
    assert!(
        matches!(layout.collect_garbage([]), Err(Error::Layout(LayoutError::InUse { .. }))),
        "a writer holds it too"
    );
    assert!(layout.contains(blob.digest()));
    drop(writer);
    assert_eq!(layout.collect_garbage([]).unwrap().blobs, 1);
}

#[test]
fn what_killed_writers_left_is_cleaned_up() {
    let (dir, layout) = new_layout();
    std::fs::write(dir.path().join("ingest/half"), "half").unwrap();
    layout.collect_garbage([]).unwrap();
    assert_eq!(files(&dir.path().join("ingest")), Vec::<String>::new());
}

#[test]
fn files_that_are_no_blobs_are_left_alone() {
    let (dir, layout) = new_layout();
    std::fs::create_dir(dir.path().join("blobs/blake3")).unwrap();
    let foreign = ["README", "blobs/sha256/README", "blobs/blake3/00"];
    for path in foreign {
        std::fs::write(dir.path().join(path), "theirs").unwrap();
    }
    assert_eq!(layout.collect_garbage([]).unwrap(), Collected::default());
    assert!(foreign.iter().all(|path| dir.path().join(path).exists()));
}

#[test]
fn the_content_of_unknown_kinds_of_manifests_stays() {
    let (dir, layout) = new_layout();
    let blob = layout.put("text/plain", b"deep inside").unwrap();
    let artifact = json!({"blobs": [{"mediaType": "text/plain", "digest": blob.digest(), "size": blob.size()}]});
    let artifact = layout
        .put("application/vnd.oci.artifact.manifest.v1+json", artifact.to_string().as_bytes())
        .unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [artifact]});
    std::fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
    assert_eq!(layout.collect_garbage([]).unwrap(), Collected::default());
}

#[test]
fn a_damaged_manifest_stops_the_collection() {
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["a"]);
    layout.add(&image).unwrap();
    let path = layout.blob_path(image.digest()).unwrap();
    let damaged = std::fs::read_to_string(&path).unwrap().replace("text/plain", "text/plane");
    std::fs::write(&path, damaged).unwrap();
    assert!(matches!(
        layout.collect_garbage([]),
        Err(Error::Content(ContentError::WrongDigest { .. }))
    ));
    assert!(layout.contains(layer("a").digest()), "what it named cannot be known");
    layout.remove(image.digest()).unwrap();
    assert_eq!(layout.collect_garbage([]).unwrap().blobs, 3);
}
