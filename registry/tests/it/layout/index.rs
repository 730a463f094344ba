//! Tags, manifests without tags, and what other tools wrote.

use expect_test::expect;
use kit_registry::{Error, Layout, LayoutError, MediaType, Reference, content};
use serde_json::{Value, json};

use super::{files, new_layout, put_image, put_index};

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn tags(layout: &Layout) -> Vec<String> {
    layout.tags().unwrap().into_iter().map(|(reference, _)| reference.to_string()).collect()
}

#[test]
fn a_layout_has_the_shape_that_other_tools_read() {
    let (dir, layout) = new_layout();
    let descriptor = put_image(&layout, &["a"]);
    layout.tag(&descriptor, &reference("127.0.0.1:5000/demo/m:1.0.0")).unwrap();

    let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    expect![[r#"{"imageLayoutVersion":"1.0.0"}"#]].assert_eq(&text("oci-layout"));
    expect![[r#"{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"127.0.0.1:5000/demo/m:1.0.0"},"digest":"sha256:f7d5ba1acaf06e16545d001b881e84e000f68c6bb4196f3a4f813f3d43534b9c","mediaType":"application/vnd.oci.image.manifest.v1+json","size":398}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#]]
    .assert_eq(&text("index.json"));
    let blobs = files(&dir.path().join("blobs"));
    assert!(
        blobs.iter().all(|path| path.strip_prefix("sha256/").is_some_and(|hex| hex.len() == 64)),
        "{blobs:?}"
    );
    assert_eq!(blobs.len(), 3);
    assert_eq!(files(&dir.path().join("ingest")), Vec::<String>::new());
}

#[test]
fn a_tag_moves_and_leaves_its_manifest_without_one() {
    let (_dir, layout) = new_layout();
    let [old, new] = ["a", "b"].map(|text| put_image(&layout, &[text]));
    let latest = reference("demo/m:latest");
    layout.tag(&old, &latest).unwrap();
    layout.tag(&new, &latest).unwrap();

    assert_eq!(layout.resolve(&latest).unwrap(), new);
    assert_eq!(tags(&layout), ["demo/m:latest"]);
    assert_eq!(layout.manifests().unwrap(), [old.clone(), new]);

    // The manifest without a tag takes the next one in place: no entry is there twice.
    layout.tag(&old, &reference("demo/m:old")).unwrap();
    layout.tag(&old, &reference("demo/m:old")).unwrap();
    assert_eq!(tags(&layout), ["demo/m:latest", "demo/m:old"]);
    assert_eq!(index(&layout)["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn a_manifest_can_have_several_tags_and_lose_them() {
    let (_dir, layout) = new_layout();
    let it = put_image(&layout, &["a"]);
    for tag in ["r.io/m:2", "r.io/m:1", "m:1"] {
        layout.tag(&it, &reference(tag)).unwrap();
    }
    assert_eq!(tags(&layout), ["m:1", "r.io/m:1", "r.io/m:2"]);
    assert!(layout.untag(&reference("r.io/m:1")).unwrap());
    assert!(!layout.untag(&reference("r.io/m:1")).unwrap());
    assert!(layout.untag(&reference("r.io/m:2")).unwrap());
    assert!(layout.untag(&reference("m:1")).unwrap());
    assert_eq!(layout.manifests().unwrap(), std::slice::from_ref(&it), "it stays, without a tag");
    assert!(layout.remove(it.digest()).unwrap());
    assert!(!layout.remove(it.digest()).unwrap());
    assert!(layout.manifests().unwrap().is_empty());
}

#[test]
fn a_reference_resolves_by_tag_or_digest() {
    let (_dir, layout) = new_layout();
    let it = put_image(&layout, &["a"]);
    layout.add(&it).unwrap();
    assert_eq!(
        layout.resolve(&reference("any/where").with_digest(it.digest().clone())).unwrap(),
        it
    );
    assert_eq!(layout.resolve(&reference(it.digest().as_ref())).unwrap(), it);
    let error = layout.resolve(&reference("demo/m:1")).unwrap_err();
    assert!(matches!(error, Error::Layout(LayoutError::UnknownReference { .. })), "{error}");
    assert!(matches!(
        layout.tag(&it, &reference("demo/m")),
        Err(Error::Layout(LayoutError::NoTag { .. }))
    ));
}

#[test]
fn what_other_tools_wrote_into_the_index_stays() {
    let (dir, layout) = new_layout();
    let ours = put_image(&layout, &["a"]);
    let theirs = put_image(&layout, &["b"]);
    let entry = json!({
        "mediaType": MediaType::ImageManifest, "digest": theirs.digest(), "size": theirs.size(),
        "annotations": {"org.opencontainers.image.ref.name": "v1", "com.example": "kept"},
        "platform": {"architecture": "amd64", "os": "linux"}, "unknownField": [1, {"x": null}],
    });
    let nameless = json!({"mediaType": "x/y", "digest": ours.digest(), "size": ours.size(),
        "annotations": {"org.opencontainers.image.ref.name": "Not A Reference"}});
    let document = json!({"schemaVersion": 2, "manifests": [entry, nameless], "future": true});
    std::fs::write(dir.path().join("index.json"), document.to_string()).unwrap();

    layout.tag(&ours, &reference("demo/m:1")).unwrap();
    layout.tag(&theirs, &reference("demo/m:2")).unwrap();
    let found = index(&layout);
    assert_eq!(found["manifests"][0], entry);
    assert_eq!(found["manifests"][1], nameless);
    assert_eq!(found["manifests"].as_array().unwrap().len(), 4);
    assert_eq!(found["future"], true);
    assert_eq!(tags(&layout), ["demo/m:1", "demo/m:2", "v1"]);
}

#[test]
fn a_tag_never_points_at_a_manifest_whose_content_is_missing() {
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["a"]);
    let index = put_index(&layout, std::slice::from_ref(&image));
    let lost = content::digest(b"a");
    std::fs::remove_file(layout.blob_path(&lost).unwrap()).unwrap();
    for descriptor in [&image, &index] {
        let error = layout.tag(descriptor, &reference("demo/m:1")).unwrap_err();
        assert!(
            matches!(&error, Error::Layout(LayoutError::MissingBlob { digest, .. }) if *digest == lost),
            "{error}"
        );
        assert!(layout.add(descriptor).is_err());
    }
    assert!(layout.manifests().unwrap().is_empty());
}

#[test]
fn another_version_of_the_layout_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    let error = Layout::init(dir.path()).unwrap_err();
    assert!(
        error.to_string().ends_with("is an image layout of version 2.0.0, not 1.0.0"),
        "{error}"
    );
    assert!(!dir.path().join("index.json").exists());
}

fn index(layout: &Layout) -> Value {
    serde_json::from_slice(&std::fs::read(layout.root().join("index.json")).unwrap()).unwrap()
}
