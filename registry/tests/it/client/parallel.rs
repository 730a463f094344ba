//! One big blob over several connections, and what is left of it for the next process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use futures_util::StreamExt;
use kit_registry::{Client, ClientOptions, Event, Layout, MediaType, pull, push};

use super::{Registry, client, deaf, options};
use crate::layout::{new_layout, put_image};

const MIB: usize = 1024 * 1024;
const SIZE: usize = 6 * MIB + 7;

/// Lets every answer flow at a mebibyte each 50 milliseconds, so that one connection is not enough.
fn slow(router: Router) -> Router {
    router.layer(middleware::from_fn(async |request: Request, next: Next| -> Response {
        let is_blob = request.method() == "GET" && request.uri().path().contains("/blobs/sha256:");
        let response = next.run(request).await;
        if !is_blob {
            return response;
        }
        let (head, body) = response.into_parts();
        let paced = body.into_data_stream().then(async |piece| {
            tokio::time::sleep(Duration::from_millis(12)).await;
            piece
        });
        Response::from_parts(head, Body::from_stream(paced))
    }))
}

fn content() -> String {
    (0..SIZE / 8 + 1).map(|n| format!("{n:08x}")).collect::<String>()[..SIZE].to_owned()
}

async fn pull_into(registry: &Registry, layout: &Layout, connections: usize) {
    let client = Client::new(ClientOptions { connections, concurrency: 1, ..options() }).unwrap();
    pull(&client, &registry.reference("demo/kit:v1"), layout, &deaf).await.unwrap();
}

#[tokio::test]
async fn a_slow_blob_comes_over_several_connections() {
    let registry = Registry::start_with(slow).await;
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[&content()]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let asked =
        || registry.log.seen().iter().filter(|seen| seen.headers.contains_key("range")).count();
    let (_to, other) = new_layout();
    pull_into(&registry, &other, 1).await;
    assert_eq!(asked(), 0);
    let (_to, other) = new_layout();
    pull_into(&registry, &other, 4).await;
    assert!((1..20).contains(&asked()), "{}", asked());
    assert!(other.verify(&image).unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_registry_without_ranges_is_read_once() {
    let registry = Registry::start_with(|router| {
        slow(router).layer(middleware::map_request(async |mut request: Request| {
            request.headers_mut().remove("range");
            request
        }))
    })
    .await;
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[&content()]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let (_to, other) = new_layout();
    let client =
        Client::new(ClientOptions { connections: 4, concurrency: 1, ..options() }).unwrap();
    let pulled = pull(&client, &registry.reference("demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    assert_eq!(pulled.downloaded_bytes, SIZE as u64 + 2 + image.size());
}

/// Answers requests for parts with this status.
fn without_parts(router: Router, status: u16) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        match request.headers().contains_key("range") {
            true => {
                let mut refused = Response::new(Body::empty());
                *refused.status_mut() = status.try_into().unwrap();
                refused
            }
            false => next.run(request).await,
        }
    }))
}

#[tokio::test]
async fn a_registry_that_wants_one_connection_gets_one() {
    for status in [400, 403, 429, 503] {
        let registry = Registry::start_with(|router| without_parts(slow(router), status)).await;
        let (_from, layout) = new_layout();
        let image = put_image(&layout, &[&content()]);
        push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
        let (_to, other) = new_layout();
        pull_into(&registry, &other, 4).await;
        assert!(other.verify(&image).unwrap().problems.is_empty());
        let refused = registry.log.seen().iter().filter(|it| it.status == Some(status)).count();
        assert!((1..=3).contains(&refused), "{status}: asked in vain {refused} times");
    }
}

/// Leaves what a pull leaves that has brought the first two blocks.
fn leave_part(ingest: &std::path::Path, digest: &kit_registry::Digest, part: &[u8]) {
    let name = format!("sha256-{}", digest.digest());
    let mut map = b"kitpart1".to_vec();
    map.extend_from_slice(&(SIZE as u64).to_le_bytes());
    map.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0]);
    std::fs::write(ingest.join(format!("{name}.map")), map).unwrap();
    std::fs::write(ingest.join(format!("{name}.part")), part).unwrap();
}

#[tokio::test]
async fn a_registry_that_refuses_ranges_gives_the_whole() {
    for status in [400, 405, 501] {
        let registry = Registry::start_with(|router| without_parts(router, status)).await;
        let (_from, layout) = new_layout();
        let image = put_image(&layout, &[&content()]);
        push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
        let (to, other) = new_layout();
        let digest = layout.document(&image).unwrap().layers[0].digest().clone();
        leave_part(&to.path().join("ingest"), &digest, content().as_bytes());
        pull(&client(), &registry.reference("demo/kit:v1"), &other, &deaf).await.unwrap();
        assert!(other.verify(&image).unwrap().problems.is_empty());
    }
}

/// Whoever shows how fast it goes must not count what was there.
#[tokio::test]
async fn a_pull_that_goes_on_first_says_what_was_there() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[&content()]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let (to, other) = new_layout();
    let digest = layout.document(&image).unwrap().layers[0].digest().clone();
    leave_part(&to.path().join("ingest"), &digest, content().as_bytes());
    let told = Mutex::new(Vec::new());
    let on = |event| {
        if let Event::BlobProgress { digest: of, bytes } = event
            && of == digest
        {
            told.lock().unwrap().push(bytes);
        }
    };
    pull(&client(), &registry.reference("demo/kit:v1"), &other, &on).await.unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!((told.first(), told.last()), (Some(&(2 * MIB as u64)), Some(&(SIZE as u64))));
}

/// A part that an earlier process left is taken on trust only until the whole is hashed.
#[tokio::test]
async fn a_damaged_part_is_found_and_the_blob_fetched_anew() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[&content()]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let (to, other) = new_layout();
    let digest = layout.document(&image).unwrap().layers[0].digest().clone();
    let ingest = to.path().join("ingest");
    let mut part = content().into_bytes();
    part[5] = b'!';
    leave_part(&ingest, &digest, &part);
    pull(&client(), &registry.reference("demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    let ranges: Vec<_> = registry
        .log
        .seen()
        .into_iter()
        .filter_map(|seen| seen.headers.get("range").cloned())
        .collect();
    assert_eq!(ranges, [format!("bytes={}-", 2 * MIB)], "what is there is not asked for");
    assert_eq!(std::fs::read_dir(ingest).unwrap().count(), 0);
}

/// Two pulls of one blob into one layout: the second does not wait for the first, and does not
/// write in its file.
#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_of_one_blob_do_not_meet() {
    let registry = Arc::new(Registry::start_with(slow).await);
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[&content()]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let (_to, other) = new_layout();
    tokio::join!(
        pull_into(&registry, &other, 2),
        pull_into(&registry, &other, 2),
        pull_into(&registry, &other, 1)
    );
    assert!(other.verify(&image).unwrap().problems.is_empty());
}

/// A manifest may say where else a layer lies. Nobody is asked there, with or without credentials.
#[tokio::test]
async fn cve_2020_15157_the_urls_of_a_layer_are_not_followed() {
    let log = super::Log::default();
    let elsewhere = super::serve(log.of(Router::new())).await;
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let config = layout.put(MediaType::EmptyJSON, b"{}").unwrap();
    let mut layer = layout.put("text/plain", b"layer").unwrap();
    layer.set_urls(Some(vec![format!("http://{elsewhere}/layer")]));
    let manifest = kit_registry::content::ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(vec![layer])
        .build()
        .unwrap();
    let bytes = kit_registry::content::encode(&manifest);
    let image = layout.put_manifest(MediaType::ImageManifest, &bytes).unwrap();
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let (_to, other) = new_layout();
    pull(&client(), &registry.reference("demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    assert!(log.seen().is_empty());
}
