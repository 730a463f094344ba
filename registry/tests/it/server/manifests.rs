//! Every kind of manifest, pushed, read and deleted.

use kit_registry::content::{self, DigestAlgorithm};
use kit_registry::{Descriptor, MediaType};
use serde_json::{Value, json};

use super::{Api, digest_by, image, index};

/// Pushes a manifest by tag and by digest, reads it in every way, and deletes it.
async fn check(api: &Api, name: &str, manifest: &Value) {
    let bytes = content::encode(manifest);
    let media_type = manifest["mediaType"].as_str().unwrap();
    let digest = content::digest(&bytes).to_string();
    for version in [name, &digest] {
        let answer = api.put_manifest("a/b", version, media_type, bytes.clone()).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.header("location"), format!("/v2/a/b/manifests/{digest}"));
        let subject = answer.headers.get("oci-subject").map(|it| it.to_str().unwrap());
        assert_eq!(subject, manifest["subject"]["digest"].as_str(), "{name}");
    }
    for version in [name, &digest] {
        let path = format!("/v2/a/b/manifests/{version}");
        let [head, get] = [api.head(&path).await.expect(200), api.get(&path).await.expect(200)];
        assert_eq!(get.body, bytes, "{name}");
        for answer in [head, get] {
            assert_eq!(answer.header("content-type"), media_type);
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest);
        }
    }
    api.delete(&format!("/v2/a/b/manifests/{name}")).await.expect(202);
    api.get(&format!("/v2/a/b/manifests/{name}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    api.get(&format!("/v2/a/b/manifests/{digest}")).await.expect(200);
    api.delete(&format!("/v2/a/b/manifests/{digest}")).await.expect(202);
    api.get(&format!("/v2/a/b/manifests/{digest}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    api.delete(&format!("/v2/a/b/manifests/{digest}")).await.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn every_kind_of_manifest_goes_in_and_comes_out_byte_for_byte() {
    let api = Api::new();
    let config = api.push_blob("a/b", b"{}").await;
    let layer = api.push_blob("a/b", b"layer").await;
    let child = api.push_image("a/b", "child", "layer of the child").await;
    let foreign = Descriptor::new(
        MediaType::ImageLayerNonDistributableGzip,
        9,
        content::digest(b"elsewhere"),
    );
    let missing = Descriptor::new(MediaType::ImageManifest, 9, content::digest(b"not pushed yet"));
    let plain = image(&config, std::slice::from_ref(&layer));
    let with = |mut base: Value, key: &str, value: Value| {
        base[key] = value;
        base
    };
    let nested = with(index(std::slice::from_ref(&child)), "annotations", json!({"is": "nested"}));
    let nested = api.push_manifest("a/b", "nested", &nested).await;
    let cases = [
        ("image", plain.clone()),
        ("no-layers", image(&config, &[])),
        ("artifact", with(plain.clone(), "artifactType", json!("application/vnd.example"))),
        ("subject", with(plain.clone(), "subject", json!(child))),
        ("subject-missing", with(plain.clone(), "subject", json!(missing))),
        ("custom-fields", with(plain.clone(), "com.example", json!({"b": 1, "a": [null, 1.50]}))),
        ("data-field", with(plain, "config", with(json!(config), "data", json!("e30=")))),
        ("non-distributable", image(&config, &[layer, foreign])),
        ("index", index(std::slice::from_ref(&child))),
        ("nested-index", index(&[nested])),
        ("empty-index", index(&[])),
        ("index-artifact", with(index(&[]), "artifactType", json!("application/vnd.example"))),
        ("index-subject", with(index(&[]), "subject", json!(child))),
    ];
    for (name, manifest) in cases {
        check(&api, name, &manifest).await;
    }
    api.get("/v2/a/b/manifests/child").await.expect(200);
}

#[tokio::test]
async fn a_manifest_can_be_named_by_sha512() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let bytes = content::encode(&image(&config, &[]));
    let digest = digest_by(&DigestAlgorithm::Sha512, &bytes);
    let media_type = MediaType::ImageManifest.to_string();
    let path = format!("{digest}?tag=v1&tag=v2");
    let answer = api.put_manifest("a", &path, &media_type, bytes.clone()).await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest.as_ref());
    assert_eq!(answer.headers.get_all("oci-tag").iter().collect::<Vec<_>>(), ["v1", "v2"]);
    for version in [digest.as_ref(), "v1", "v2"] {
        let answer = api.get(&format!("/v2/a/manifests/{version}")).await.expect(200);
        assert_eq!(
            (answer.body.as_slice(), answer.header("docker-content-digest")),
            (bytes.as_slice(), digest.as_ref())
        );
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_what_it_says_is_refused() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let plain = image(&config, &[]);
    let (manifest, index_type) =
        (MediaType::ImageManifest.to_string(), MediaType::ImageIndex.to_string());
    let put = async |version: &str, media_type: &str, value: &Value| {
        api.put_manifest("a", version, media_type, content::encode(value)).await
    };
    let other = content::digest(b"other");
    put(other.as_ref(), &manifest, &plain).await.expect_error(400, "DIGEST_INVALID");
    put("v1", &index_type, &plain).await.expect_error(400, "MANIFEST_INVALID"); // CVE-2021-41190
    let mut both = plain.clone();
    both["manifests"] = json!([]);
    put("v1", &manifest, &both).await.expect_error(400, "MANIFEST_INVALID");
    put("v1", "application/json", &plain).await.expect_error(400, "MANIFEST_INVALID");
    put("v1", &manifest, &json!([])).await.expect_error(400, "MANIFEST_INVALID");
    put("v1", &manifest, &json!({"schemaVersion": 2})).await.expect_error(400, "MANIFEST_INVALID");
    put(&"t".repeat(129), &manifest, &plain).await.expect_error(400, "TAG_INVALID");
    put(".v1", &manifest, &plain).await.expect_error(400, "TAG_INVALID");
    put("sha256:00", &manifest, &plain).await.expect_error(400, "DIGEST_INVALID");
    let mut wrong_size = plain.clone();
    wrong_size["config"]["size"] = json!(3);
    put("v1", &manifest, &wrong_size).await.expect_error(400, "MANIFEST_INVALID");
    api.get("/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");

    put("v1", &format!("{manifest}; charset=utf-8"), &plain).await.expect(201);
    api.ask("PUT", "/v2/a/manifests/v2", &[], content::encode(&plain)).await.expect(201);
}

#[tokio::test]
async fn a_manifest_needs_its_content_in_the_same_repository() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let child = api.push_manifest("a", "v1", &image(&config, &[])).await;
    for manifest in [image(&config, &[]), index(&[child])] {
        let media_type = manifest["mediaType"].as_str().unwrap();
        let answer = api.put_manifest("b", "v1", media_type, content::encode(&manifest)).await;
        answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    }
    api.get("/v2/b/manifests/v1").await.expect(404);
}

#[tokio::test]
async fn a_manifest_may_have_4_mib_and_not_more() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let sized = |size: usize| {
        let mut manifest = image(&config, &[]);
        manifest["annotations"] = json!({ "x": "" });
        let rest = size - content::encode(&manifest).len();
        manifest["annotations"]["x"] = "x".repeat(rest).into();
        content::encode(&manifest)
    };
    let media_type = MediaType::ImageManifest.to_string();
    api.put_manifest("a", "large", &media_type, sized(4 << 20)).await.expect(201);
    assert_eq!(api.get("/v2/a/manifests/large").await.expect(200).body.len(), 4 << 20);
    api.put_manifest("a", "larger", &media_type, sized((4 << 20) + 1)).await.expect(413);
    let announced = [("content-type", media_type.as_str()), ("content-length", "4194305")];
    api.ask("PUT", "/v2/a/manifests/larger", &announced, "").await.expect(413);
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_and_leaves_other_repositories_alone() {
    let api = Api::new();
    let it = api.push_image("a", "v1", "layer").await;
    api.push_image("a", "v2", "layer").await;
    api.push_image("b", "v1", "layer").await;
    api.push_image("a", "other", "other layer").await;
    api.delete(&format!("/v2/a/manifests/{}", it.digest())).await.expect(202);
    assert_eq!(api.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!(["other"]));
    api.get("/v2/b/manifests/v1").await.expect(200);
    api.get(&format!("/v2/b/manifests/{}", it.digest())).await.expect(200);

    // Of what is gone everywhere, garbage collection takes the bytes.
    api.layout.collect_garbage([]).unwrap();
    api.get(&format!("/v2/b/manifests/{}", it.digest())).await.expect(200);
    api.delete("/v2/b/manifests/v1").await.expect(202);
    api.layout.collect_garbage([]).unwrap();
    assert!(api.layout.contains(it.digest()), "a deleted tag leaves its manifest");
    api.delete(&format!("/v2/b/manifests/{}", it.digest())).await.expect(202);
    assert_eq!(api.layout.collect_garbage([]).unwrap().blobs, 2, "the manifest and its layer");
    api.get("/v2/a/manifests/other").await.expect(200);
}
