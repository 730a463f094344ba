//! From one repository to another: what is moved, and what the registry gives itself.

use axum::extract::Request;
use axum::middleware::{self, Next};
use kit_registry::content::{self, ImageIndexBuilder};
use kit_registry::{MediaType, Outcome, copy, pull, push};

use super::{Registry, client, deaf};
use crate::layout::{new_layout, put_image};

/// An index of two images, one layer of which they share, in a repository of the registry.
async fn pushed(registry: &Registry) -> content::Descriptor {
    let (_dir, layout) = new_layout();
    let long = "long".repeat(100_000);
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([put_image(&layout, &["a", &long]), put_image(&layout, &["b", &long])])
        .build()
        .unwrap();
    let index = layout.put_manifest(MediaType::ImageIndex, &content::encode(&index)).unwrap();
    push(&layout, &index, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    index
}

/// Whether the copy is whole: it is pulled into an empty layout, and verified.
async fn is_whole(registry: &Registry, index: &content::Descriptor) {
    let (_dir, layout) = new_layout();
    let pulled = pull(&client(), &registry.reference("prod/kit:v2"), &layout, &deaf).await.unwrap();
    assert_eq!(pulled.descriptor, *index);
    assert!(layout.verify(index).unwrap().problems.is_empty());
}

#[tokio::test]
async fn within_a_registry_no_blob_is_moved() {
    let registry = Registry::start().await;
    let index = pushed(&registry).await;
    let (_dir, layout) = new_layout();
    let (from, to) = (registry.reference("demo/kit:v1"), registry.reference("prod/kit:v2"));
    let before = registry.log.count("GET", "/blobs/");
    let mounted = std::sync::Mutex::new(0);
    let on = |event| {
        if let kit_registry::Event::BlobDone { outcome: Outcome::Mounted, .. } = event {
            *mounted.lock().unwrap() += 1;
        }
    };
    let copied = copy(&client(), &from, &to, &layout, &on).await.unwrap();
    assert_eq!(copied.descriptor, index);
    // Two layers of their own, the shared one, and the one configuration that both have.
    assert_eq!((copied.mounted, *mounted.lock().unwrap()), (4, 4));
    assert_eq!(registry.log.count("GET", "/blobs/"), before, "nothing was downloaded");
    assert_eq!(registry.log.count("POST", "mount="), 4);
    assert!(copied.downloaded_bytes < 4096 && copied.uploaded_bytes < 8192, "{copied:?}");
    is_whole(&registry, &index).await;
    // Again it is there already.
    let again = copy(&client(), &from, &to, &layout, &deaf).await.unwrap();
    assert_eq!(again.mounted, 0);
    // And in the same repository only a tag is new.
    let tag = registry.reference("demo/kit:v3");
    assert_eq!(copy(&client(), &from, &tag, &layout, &deaf).await.unwrap().mounted, 0);
    assert_eq!(client().resolve(&tag).await.unwrap().digest(), index.digest());
}

/// As registries do that know of no mounts, or let nobody have one: an upload is begun instead.
#[tokio::test]
async fn what_is_not_given_is_moved() {
    let without = |router: axum::Router| {
        router.layer(middleware::from_fn(|mut request: Request, next: Next| async move {
            if request.uri().query().is_some_and(|query| query.contains("mount=")) {
                *request.uri_mut() = request.uri().path().parse().unwrap();
            }
            next.run(request).await
        }))
    };
    let registry = Registry::start_with(without).await;
    let index = pushed(&registry).await;
    let (_dir, layout) = new_layout();
    let (from, to) = (registry.reference("demo/kit:v1"), registry.reference("prod/kit:v2"));
    let copied = copy(&client(), &from, &to, &layout, &deaf).await.unwrap();
    assert_eq!(copied.mounted, 0);
    assert!(copied.uploaded_bytes > 400_000, "{copied:?}");
    is_whole(&registry, &index).await;
    // No session that was begun for nothing is left open.
    let uploads = registry.root().join("repositories/prod/kit/_uploads");
    let open = std::fs::read_dir(uploads).expect("sessions were begun here").count();
    assert_eq!(open, 0);
}
