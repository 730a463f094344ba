//! Lists of referrers, with registries that keep them and that do not.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kit_registry::content::{self, ImageManifestBuilder};
use kit_registry::{Descriptor, Layout, MediaType, push};

use super::{Registry, client, deaf};
use crate::layout::{new_layout, put_image};

/// Hides that the registry keeps lists of referrers.
fn without_referrers(router: Router) -> Router {
    router.layer(middleware::from_fn(async |request: Request, next: Next| -> Response {
        if request.uri().path().contains("/referrers/") {
            return StatusCode::NOT_FOUND.into_response();
        }
        let mut response = next.run(request).await;
        response.headers_mut().remove("oci-subject");
        response
    }))
}

fn put_referrer(layout: &Layout, subject: &Descriptor, artifact_type: &str) -> Descriptor {
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type(artifact_type)
        .config(layout.put(MediaType::EmptyJSON, b"{}").unwrap())
        .layers([layout.put(MediaType::EmptyJSON, b"{}").unwrap()])
        .subject(subject.clone())
        .annotations([("key".to_owned(), "value".to_owned())])
        .build()
        .unwrap();
    layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap()
}

pub(super) async fn check_referrers(registry: Registry, keeps_lists: bool) {
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    let tag = registry.reference("demo/kit:v1");
    let client = client();
    push(&layout, &image, &tag, &client, &deaf).await.unwrap();
    assert_eq!(client.referrers(&tag, None).await.unwrap(), []);
    let (a, b) = (
        put_referrer(&layout, &image, "application/a"),
        put_referrer(&layout, &image, "application/b"),
    );
    // Twice: a list holds each referrer once.
    for referrer in [&a, &b, &a] {
        push(&layout, referrer, &tag.with_digest(referrer.digest().clone()), &client, &deaf)
            .await
            .unwrap();
    }
    let all = client.referrers(&tag, None).await.unwrap();
    let mut digests: Vec<&str> = all.iter().map(|it| it.digest().as_ref()).collect();
    digests.sort();
    let mut expected = [a.digest().as_ref(), b.digest().as_ref()];
    expected.sort();
    assert_eq!(digests, expected);
    let only = client.referrers(&tag, Some("application/b")).await.unwrap();
    assert_eq!(only.len(), 1);
    assert_eq!(only[0].digest(), b.digest());
    assert_eq!(only[0].annotations().as_ref().unwrap()["key"], "value");
    let fallback = format!("sha256-{}", image.digest().digest());
    assert_eq!(client.tags(&tag).await.unwrap().contains(&fallback), !keeps_lists);
    client.delete(&tag.with_digest(a.digest().clone())).await.unwrap();
    let left = client.referrers(&tag, None).await.unwrap();
    assert_eq!(left.iter().map(|it| it.digest()).collect::<Vec<_>>(), [b.digest()]);
}

#[tokio::test]
async fn referrers_are_listed_by_a_registry_that_keeps_lists() {
    check_referrers(Registry::start().await, true).await;
}

#[tokio::test]
async fn referrers_are_kept_under_a_tag_where_the_registry_keeps_no_lists() {
    check_referrers(Registry::start_with(without_referrers).await, false).await;
}
