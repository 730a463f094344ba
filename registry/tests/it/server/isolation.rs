//! Whose content is whose, what the registry does not do, and the layout beneath it.

use kit_registry::server::{Registry, ServerOptions};
use kit_registry::{Layout, content};
use serde_json::json;

use super::super::layout::put_image;
use super::Api;

#[tokio::test]
async fn a_repository_serves_only_what_it_was_given() {
    let api = Api::new();
    let image = api.push_image("private", "v1", "secret").await;
    let secret = content::digest(b"secret");
    api.push_blob("public", b"public").await;
    for repository in ["public", "private/deeper", "priv"] {
        api.get(&format!("/v2/{repository}/blobs/{secret}"))
            .await
            .expect_error(404, "BLOB_UNKNOWN");
        api.head(&format!("/v2/{repository}/blobs/{secret}")).await.expect(404);
        api.delete(&format!("/v2/{repository}/blobs/{secret}")).await.expect(404);
        api.get(&format!("/v2/{repository}/manifests/{}", image.digest()))
            .await
            .expect_error(404, "MANIFEST_UNKNOWN");
        api.get(&format!("/v2/{repository}/manifests/v1")).await.expect(404);
        api.delete(&format!("/v2/{repository}/manifests/{}", image.digest())).await.expect(404);
    }
    api.get(&format!("/v2/private/blobs/{secret}")).await.expect(200);

    // Whoever brings the content itself has it, and it lies there once.
    api.push_blob("public", b"secret").await;
    api.get(&format!("/v2/public/blobs/{secret}")).await.expect(200);
}

#[tokio::test]
async fn local_content_of_the_layout_is_not_served() {
    let api = Api::new();
    let local = put_image(&api.layout, &["local"]);
    api.layout.tag(&local, &"r.io/a:v1".parse().unwrap()).unwrap();
    api.push_blob("a", b"x").await;
    api.get("/v2/a/manifests/v1").await.expect(404);
    api.get(&format!("/v2/a/manifests/{}", local.digest())).await.expect(404);
    assert_eq!(api.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!([]));
}

#[tokio::test]
async fn the_layout_beneath_is_a_plain_one() {
    let api = Api::new();
    let pushed = api.push_image("demo/m", "1.0", "layer").await;
    api.push_image("my.org/m", "1.0", "layer").await;
    let layout = Layout::init(api.layout.root()).unwrap();
    let tags: Vec<_> =
        layout.tags().unwrap().iter().map(|(reference, _)| reference.to_string()).collect();
    assert_eq!(
        tags,
        ["demo/m:1.0", "localhost/my.org/m:1.0"],
        "the second would else name a registry"
    );
    assert_eq!(layout.resolve(&"demo/m:1.0".parse().unwrap()).unwrap(), pushed);
    assert!(layout.verify(&pushed).unwrap().problems.is_empty());
    api.get("/v2/my.org/m/manifests/1.0").await.expect(200);
}

#[tokio::test]
async fn what_another_tool_puts_into_the_layout_is_served_by_its_tag() {
    let api = Api::new();
    let image = put_image(&api.layout, &["from elsewhere"]);
    api.layout.tag(&image, &"demo/m:v1".parse().unwrap()).unwrap();
    assert_eq!(api.get("/v2/demo/m/tags/list").await.expect(200).json()["tags"], json!(["v1"]));
    api.get("/v2/demo/m/manifests/v1").await.expect(200);
    api.get(&format!("/v2/demo/m/manifests/{}", image.digest())).await.expect(200);
    let blob = api
        .get(&format!("/v2/demo/m/blobs/{}", content::digest(b"from elsewhere")))
        .await
        .expect(200);
    assert_eq!(blob.body, b"from elsewhere");
}

#[tokio::test]
async fn a_registry_that_is_read_only_changes_nothing() {
    let api = Api::new();
    let image = api.push_image("a", "v1", "layer").await;
    let location = api.start("a").await;
    let options = ServerOptions { read_only: true, ..Default::default() };
    let api = Api { router: Registry::new(api.layout.clone(), options).router(), ..api };
    api.get("/v2/a/manifests/v1").await.expect(200);
    api.get("/v2/a/tags/list").await.expect(200);
    let manifest = format!("/v2/a/manifests/{}", image.digest());
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/"),
        ("PATCH", &location),
        ("PUT", "/v2/a/manifests/v2"),
        ("DELETE", "/v2/a/manifests/v1"),
        ("DELETE", &manifest),
    ] {
        api.ask(method, path, &[], "").await.expect_error(405, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn a_damaged_manifest_is_a_fault_and_tells_nothing_of_the_disk() {
    let api = Api::new();
    let image = api.push_image("a", "v1", "layer").await;
    std::fs::write(api.layout.blob_path(image.digest()).unwrap(), "damaged").unwrap();
    let answer = api.get("/v2/a/manifests/v1").await.expect_error(500, "UNKNOWN");
    assert!(!answer.text().contains(api.layout.root().to_str().unwrap()));
}

#[tokio::test]
async fn counters_say_what_was_moved() {
    let api = Api::new();
    assert_eq!(api.metric("kit_rs_registry_uploaded_bytes_total").await, 0);
    let blob = api.push_blob("a", &[7; 300_000]).await;
    assert_eq!(api.metric("kit_rs_registry_uploaded_bytes_total").await, 300_000);
    let path = format!("/v2/a/blobs/{}", blob.digest());
    api.head(&path).await.expect(200);
    assert_eq!(api.metric("kit_rs_registry_downloaded_bytes_total").await, 0);
    api.get(&path).await.expect(200);
    api.ask("GET", &path, &[("range", "bytes=0-9")], "").await.expect(206);
    api.get("/v2/a/manifests/none").await.expect(404);
    assert_eq!(api.metric("kit_rs_registry_downloaded_bytes_total").await, 300_010);
    assert_eq!(api.metric(r#"kit_rs_registry_requests_total{method="GET",status="404"}"#).await, 1);
    api.ask("BREW", "/v2/", &[], "").await.expect(405);
    assert_eq!(
        api.metric(r#"kit_rs_registry_requests_total{method="other",status="405"}"#).await,
        1
    );
}
