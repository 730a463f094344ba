//! What travels, and how often.

use std::io::Read;
use std::sync::Mutex;

use kit_registry::content::{self, ImageIndexBuilder};
use kit_registry::{
    Blobs, ClientError, ContentError, Error, Event, HttpError, MediaType, Outcome, pull, push,
};

use super::{Registry, client, deaf};
use crate::layout::{new_layout, put_image};

#[tokio::test]
async fn what_is_pushed_can_be_pulled() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &["one", "two", &"long".repeat(100_000)]);
    let tag = registry.reference("demo/kit:v1");
    let pushed = push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    assert_eq!((pushed.uploaded, pushed.mounted, pushed.existing), (4, 0, 0));
    assert_eq!(pushed.uploaded_bytes, 2 + 3 + 3 + 400_000 + image.size());
    let pulled = pull(&client(), &tag, &other, &deaf).await.unwrap();
    assert_eq!(pulled.descriptor, image);
    assert_eq!(pulled.downloaded_bytes, pushed.uploaded_bytes);
    assert_eq!(other.resolve(&tag).unwrap(), image);
    assert!(other.verify(&image).unwrap().problems.is_empty());
}

#[tokio::test]
async fn plain_code_reads_the_blobs_of_a_registry() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let long = "long".repeat(100_000);
    let image = put_image(&layout, &[&long]);
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    let layer = layout.document(&image).unwrap().layers.remove(0);
    let blobs = client().blobs(&tag, tokio::runtime::Handle::current());
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        blobs.open(&layer)?.read_to_string(&mut text)?;
        Ok::<_, Error>(text)
    });
    assert_eq!(read.await.unwrap().unwrap(), long);
}

#[tokio::test]
async fn an_index_travels_with_its_manifests() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([put_image(&layout, &["a", "same"]), put_image(&layout, &["b", "same"])])
        .build()
        .unwrap();
    let index = layout.put_manifest(MediaType::ImageIndex, &content::encode(&index)).unwrap();
    let pushed = push(&layout, &index, &registry.reference("demo/index:v1"), &client(), &deaf)
        .await
        .unwrap();
    assert_eq!(pushed.uploaded, 4);
    let by_digest = registry.reference(&format!("demo/index@{}", index.digest()));
    pull(&client(), &by_digest, &other, &deaf).await.unwrap();
    assert!(other.verify(&index).unwrap().problems.is_empty());
    assert_eq!(other.manifests().unwrap(), vec![index]);
}

#[tokio::test]
async fn push_skips_blobs_the_registry_has() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one", "two"]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let again =
        push(&layout, &image, &registry.reference("demo/kit:v2"), &client(), &deaf).await.unwrap();
    assert_eq!((again.uploaded, again.existing, again.uploaded_bytes), (0, 3, image.size()));
    assert_eq!(registry.log.count("POST", "/blobs/uploads/"), 3);
}

#[tokio::test]
async fn push_mounts_what_another_repository_of_the_registry_has() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one", "two"]);
    let first = registry.reference("demo/kit:v1");
    layout.tag(&image, &first).unwrap();
    push(&layout, &image, &first, &client(), &deaf).await.unwrap();
    let derived = put_image(&layout, &["one", "two", "three"]);
    let events = Mutex::new(Vec::new());
    let on = |event| events.lock().unwrap().push(event);
    let pushed = push(&layout, &derived, &registry.reference("demo/image:v1"), &client(), &on)
        .await
        .unwrap();
    assert_eq!((pushed.uploaded, pushed.mounted, pushed.existing), (1, 3, 0));
    assert_eq!(pushed.uploaded_bytes, 5 + derived.size());
    let events = events.into_inner().unwrap();
    let mounted = events
        .iter()
        .filter(|event| matches!(event, Event::BlobDone { outcome: Outcome::Mounted, .. }));
    assert_eq!(mounted.count(), 3);
    assert!(
        matches!(events.last(), Some(Event::ManifestDone { descriptor }) if *descriptor == derived)
    );
}

#[tokio::test]
async fn a_tag_that_was_never_pushed_is_no_source_of_a_mount() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    layout.tag(&image, &registry.reference("demo/only-here:v1")).unwrap();
    let pushed =
        push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    assert_eq!((pushed.uploaded, pushed.mounted), (2, 0));
    assert_eq!(registry.log.count("POST", "mount="), 0);
}

#[tokio::test]
async fn pull_keeps_what_the_layout_has() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &["one", "two"]);
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    other.put("text/plain", b"two").unwrap();
    let pulled = pull(&client(), &tag, &other, &deaf).await.unwrap();
    assert_eq!((pulled.existing, pulled.downloaded_bytes), (1, 2 + 3 + image.size()));
    let again = pull(&client(), &tag, &other, &deaf).await.unwrap();
    assert_eq!((again.existing, again.downloaded_bytes), (3, image.size()));
}

#[tokio::test]
async fn progress_ends_with_the_size_of_each_blob() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(3_000_000)]);
    let tag = registry.reference("demo/kit:v1");
    let last = |events: Mutex<Vec<Event>>| {
        let bytes = |event: &Event| match event {
            Event::BlobProgress { bytes, .. } => Some(*bytes),
            _ => None,
        };
        events.into_inner().unwrap().iter().filter_map(bytes).max()
    };
    let events = Mutex::new(Vec::new());
    push(&layout, &image, &tag, &client(), &|event| events.lock().unwrap().push(event))
        .await
        .unwrap();
    assert_eq!(last(events), Some(3_000_000));
    let events = Mutex::new(Vec::new());
    pull(&client(), &tag, &other, &|event| events.lock().unwrap().push(event)).await.unwrap();
    assert_eq!(last(events), Some(3_000_000));
}

#[tokio::test]
async fn references_are_resolved_listed_and_deleted() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let (first, second) = (put_image(&layout, &["one"]), put_image(&layout, &["two"]));
    let client = client();
    for (tag, image) in [("b", &first), ("a", &second), ("c", &second)] {
        push(&layout, image, &registry.reference(&format!("demo/kit:{tag}")), &client, &deaf)
            .await
            .unwrap();
    }
    let tag = registry.reference("demo/kit:a");
    assert_eq!(client.resolve(&tag).await.unwrap(), second);
    assert_eq!(client.tags(&tag).await.unwrap(), ["a", "b", "c"]);
    client.delete(&tag).await.unwrap();
    assert_eq!(client.tags(&tag).await.unwrap(), ["b", "c"]);
    client.delete(&tag.with_digest(second.digest().clone())).await.unwrap();
    assert_eq!(client.tags(&tag).await.unwrap(), ["b"]);
    assert!(matches!(
        client.resolve(&tag).await,
        Err(Error::Client(ClientError::UnknownManifest { .. }))
    ));
    assert!(matches!(
        client.delete(&tag).await,
        Err(Error::Client(ClientError::UnknownManifest { .. }))
    ));
}

#[tokio::test]
async fn a_blob_can_be_read_without_a_layout() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    let (descriptor, manifest) = client().manifest(&tag).await.unwrap();
    assert_eq!(
        (&descriptor, manifest.as_slice()),
        (&image, layout.read(&image).unwrap().as_slice())
    );
    let layer = content::descriptor("text/plain", b"one");
    assert_eq!(client().read_blob(&tag, &layer).await.unwrap(), b"one");
}

#[tokio::test]
async fn a_registry_is_asked_whether_it_is_one() {
    let registry = Registry::start().await;
    client().ping(&registry.address.to_string()).await.unwrap();
    let nobody = super::serve(axum::Router::new()).await;
    assert!(matches!(
        client().ping(&nobody.to_string()).await,
        Err(Error::Http(HttpError::Status { status: 404, .. }))
    ));
    for host in ["a/b", "user@host", "", "a b"] {
        assert!(
            matches!(client().ping(host).await, Err(Error::Http(HttpError::InvalidAddress { .. }))),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_push_to_another_digest_is_refused() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let (image, other) = (put_image(&layout, &["one"]), put_image(&layout, &["two"]));
    let to = registry.reference(&format!("demo/kit@{}", other.digest()));
    assert!(matches!(
        push(&layout, &image, &to, &client(), &deaf).await,
        Err(Error::Content(ContentError::WrongDigest { .. }))
    ));
    assert!(registry.log.seen().is_empty());
}

/// Changes one byte of a blob in a layout.
fn damage(layout: &kit_registry::Layout, digest: &kit_registry::Digest) {
    let path = layout.blob_path(digest).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn pull_brings_anew_what_is_damaged_or_missing_in_the_layout() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let big = "x".repeat(3_000_000);
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([put_image(&layout, &["one", &big]), put_image(&layout, &["two"])])
        .build()
        .unwrap();
    let index = layout.put_manifest(MediaType::ImageIndex, &content::encode(&index)).unwrap();
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &index, &tag, &client(), &deaf).await.unwrap();
    pull(&client(), &tag, &other, &deaf).await.unwrap();
    let all = other.graph(&index).unwrap();
    for descriptor in &all {
        damage(&other, descriptor.digest());
        let warnings = Mutex::new(Vec::new());
        let on = |event| {
            if let Event::Warning(text) = event {
                warnings.lock().unwrap().push(text);
            }
        };
        pull(&client(), &tag, &other, &on).await.unwrap();
        assert!(other.verify(&index).unwrap().problems.is_empty());
        // The index itself is asked for anyway.
        let is_told = warnings
            .into_inner()
            .unwrap()
            .iter()
            .any(|it| it.contains(descriptor.digest().digest()));
        assert_eq!(is_told, descriptor != &index);
    }
    for descriptor in &all {
        std::fs::remove_file(other.blob_path(descriptor.digest()).unwrap()).unwrap();
    }
    pull(&client(), &tag, &other, &deaf).await.unwrap();
    assert!(other.verify(&index).unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_push_of_what_is_damaged_says_that_it_is_here() {
    let registry = Registry::start().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    let layer = content::descriptor("text/plain", b"one");
    damage(&layout, layer.digest());
    let tag = registry.reference("demo/kit:v1");
    let error = push(&layout, &image, &tag, &client(), &deaf).await.unwrap_err();
    let Error::Client(ClientError::Upload { source, .. }) = error else { panic!("{error:?}") };
    let source = source.downcast::<Error>().unwrap();
    let here = layout.blob_path(layer.digest()).unwrap().display().to_string();
    assert!(source.to_string().contains(&here), "{source}");
}

#[tokio::test]
async fn waits_are_told_in_the_registrys_own_words() {
    let busy = axum::Router::new().fallback(async || {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        (axum::http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], body)
    });
    let address = super::serve(busy).await;
    let told = std::sync::Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let options = kit_registry::ClientOptions {
        on_wait: std::sync::Arc::new(move |why: &str, wait| {
            telling.lock().unwrap().push((why.to_owned(), wait.as_secs()));
        }),
        retries: 2,
        ..super::options()
    };
    let client = kit_registry::Client::new(options).unwrap();
    client.ping(&address.to_string()).await.unwrap_err();
    let why = format!("{address} answered 429: TOOMANYREQUESTS: slow down");
    assert_eq!(*told.lock().unwrap(), [(why.clone(), 0), (why, 0)]);
}

#[tokio::test]
async fn names_with_a_scheme_are_refused_with_the_right_words() {
    let error = client().ping("https://user:secret@r.test/").await.unwrap_err().to_string();
    assert!(error.contains("write r.test") && !error.contains("secret"), "{error}");
    for (text, right) in
        [("https://r.test/a:v1", "r.test/a:v1"), ("http://r.test:5000/a", "r.test:5000/a")]
    {
        let error = text.parse::<kit_registry::Reference>().unwrap_err().to_string();
        assert!(error.ends_with(&format!("a reference has no scheme: write {right}")), "{error}");
    }
    let error = client().ping("user:secret@r.test").await.unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}
