//! Registries that lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use kit_registry::content::{self};
use kit_registry::{
    Blobs, Client, ClientError, ContentError, Descriptor, Error, HttpError, MediaType, pull, push,
};

use super::{Registry, client, deaf, reference, serve};
use crate::layout::{new_layout, put_image};

const LAYER: &str = "the content of a layer";

/// Answers a request for a layer with something else; everything else is true.
fn lying(router: Router, lie: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Router {
    let layer = format!("/blobs/{}", content::digest(LAYER.as_bytes()));
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let answer =
            (request.method() == "GET" && request.uri().path().ends_with(&layer)).then(&lie);
        async move {
            match answer {
                Some(answer) => answer,
                None => next.run(request).await,
            }
        }
    }))
}

/// Pulls from a registry that lies about a layer: the error names the blob, and nothing of it is
/// left.
async fn check_lie(lie: impl Fn() -> Response + Clone + Send + Sync + 'static, cause: &str) {
    let registry = Registry::start_with(|router| lying(router, lie)).await;
    let (_from, layout) = new_layout();
    let (dir, other) = new_layout();
    let image = put_image(&layout, &[LAYER]);
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    let error = pull(&client(), &tag, &other, &deaf).await.unwrap_err();
    let digest = content::digest(LAYER.as_bytes());
    let Error::Client(ClientError::WrongBlob { source, .. }) = &error else { panic!("{error:?}") };
    let expected = format!(
        "blob {digest} of {}/demo/kit does not have the content its digest promises",
        registry.address
    );
    assert_eq!(error.to_string(), expected);
    assert!(source.to_string().contains(cause), "{source}");
    assert!(!other.contains(&digest));
    assert_eq!(other.tags().unwrap(), []);
    nothing_is_left(dir.path()).await;
}

/// Waits until nothing is on its way into a layout: the transfers that were given up with another
/// end on their own threads.
async fn nothing_is_left(root: &std::path::Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::fs::read_dir(root.join("ingest")).unwrap().count() > 0 {
        assert!(std::time::Instant::now() < deadline, "something is left");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ggcr_2303_a_blob_of_the_right_size_with_another_content_is_refused() {
    check_lie(|| "THE content of a layer".into_response(), "should be sha256:").await;
}

#[tokio::test]
async fn a_blob_with_another_content_does_not_end_well_for_plain_code() {
    let registry =
        Registry::start_with(|router| lying(router, || "THE content of a layer".into_response()))
            .await;
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[LAYER]);
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    let layer = layout.document(&image).unwrap().layers.remove(0);
    let blobs = client().blobs(&tag, tokio::runtime::Handle::current());
    let read = tokio::task::spawn_blocking(move || {
        std::io::copy(&mut blobs.open(&layer).unwrap(), &mut std::io::sink())
    });
    let error = read.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("does not have the content its digest promises"), "{error}");
}

#[tokio::test]
async fn a_short_blob_is_refused() {
    check_lie(|| "the content".into_response(), "should have 22 bytes and has 11").await;
}

#[tokio::test]
async fn a_long_blob_is_refused() {
    check_lie(
        || "the content of a layer and more".into_response(),
        "should have 22 bytes and has 31",
    )
    .await;
}

#[tokio::test]
async fn an_endless_blob_is_cut() {
    let endless = || {
        Body::from_stream(stream::repeat(Bytes::from_static(b"x")).map(Ok::<_, std::io::Error>))
            .into_response()
    };
    check_lie(endless, "should have 22 bytes and has 23").await;
}

#[tokio::test]
async fn a_blob_that_always_breaks_off_is_given_up() {
    let registry = Registry::start_with(|router| {
        lying(router, || {
            let pieces = [Ok(Bytes::from_static(b"the ")), Err(std::io::Error::other("broken"))];
            Body::from_stream(stream::iter(pieces)).into_response()
        })
    })
    .await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &[LAYER]);
    let tag = registry.reference("demo/kit:v1");
    push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
    let error = pull(&client(), &tag, &other, &deaf).await.unwrap_err();
    assert!(matches!(error, Error::Client(ClientError::Download { .. })), "{error:?}");
    // Whether the answer breaks off before or after its head is up to the server's buffers.
    let asked = registry.log.count("GET", content::digest(LAYER.as_bytes()).as_ref());
    assert!((4..=16).contains(&asked), "{asked}");
}

/// Serves one manifest with these headers.
async fn manifest_server(
    media_type: &'static str,
    digest: Option<String>,
    bytes: Vec<u8>,
) -> std::net::SocketAddr {
    let answer = async move || {
        let mut response = ([("content-type", media_type)], bytes).into_response();
        if let Some(digest) = digest {
            response.headers_mut().insert("docker-content-digest", digest.parse().unwrap());
        }
        response
    };
    serve(Router::new().fallback(answer)).await
}

fn image() -> (Descriptor, Vec<u8>) {
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    let bytes = layout.read(&image).unwrap();
    (image, bytes)
}

#[tokio::test]
async fn cve_2021_41190_a_manifest_of_two_media_types_is_refused() {
    let (_, bytes) = image();
    let address = manifest_server("application/vnd.oci.image.index.v1+json", None, bytes).await;
    let error = client().manifest(&reference(address, "demo/kit:v1")).await.unwrap_err();
    assert!(matches!(error, Error::Content(ContentError::AmbiguousManifest { .. })), "{error:?}");
}

#[tokio::test]
async fn a_manifest_is_the_one_that_was_asked_for() {
    let (image, bytes) = image();
    let oci = "application/vnd.oci.image.manifest.v1+json; charset=utf-8";
    let address = manifest_server(oci, None, bytes.clone()).await;
    let by_digest = reference(address, &format!("demo/kit@{}", image.digest()));
    assert_eq!(client().manifest(&by_digest).await.unwrap().0, image);
    let other = reference(address, &format!("demo/kit@{}", content::digest(b"other")));
    let error = client().manifest(&other).await.unwrap_err();
    assert!(matches!(error, Error::Client(ClientError::WrongManifest { .. })), "{error:?}");
    let lying = manifest_server(oci, Some(content::digest(b"other").to_string()), bytes).await;
    let error = client().manifest(&reference(lying, "demo/kit:v1")).await.unwrap_err();
    assert!(matches!(error, Error::Client(ClientError::WrongManifest { .. })), "{error:?}");
    let error = client()
        .manifest(&reference(lying, &format!("demo/kit@{}", image.digest())))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Client(ClientError::WrongManifest { .. })), "{error:?}");
}

#[tokio::test]
async fn oras_ghsa_f36w_a_huge_manifest_is_not_read() {
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let address = manifest_server(oci, None, vec![b' '; 5 << 20]).await;
    let error = client().manifest(&reference(address, "demo/kit:v1")).await.unwrap_err();
    assert!(matches!(error, Error::Content(ContentError::TooLarge { .. })), "{error:?}");
    let endless = async || {
        Body::from_stream(
            stream::repeat(Bytes::from_static(&[b' '; 4096])).map(Ok::<_, std::io::Error>),
        )
    };
    let address = serve(Router::new().fallback(endless)).await;
    let error = client().manifest(&reference(address, "demo/kit:v1")).await.unwrap_err();
    assert!(matches!(error, Error::Content(ContentError::TooLarge { .. })), "{error:?}");
}

#[tokio::test]
async fn oras_1215_an_endless_list_of_tags_ends() {
    let page = async |request: Request| {
        let link = format!("<{}>; rel=\"next\"", request.uri());
        ([("link", link)], r#"{"name":"demo/kit","tags":["a"]}"#)
    };
    let address = serve(Router::new().fallback(page)).await;
    let error = client().tags(&reference(address, "demo/kit")).await.unwrap_err();
    assert!(matches!(error, Error::Http(HttpError::Protocol { .. })), "{error:?}");
}

#[tokio::test]
async fn a_size_that_no_disk_has_is_only_a_number() {
    let registry = Registry::start().await;
    let huge = Descriptor::new(MediaType::ImageLayer, u64::MAX, content::digest(b"x"));
    let mut blob = client().blob(&registry.reference("demo/kit"), &huge).unwrap();
    assert!(blob.chunk().await.is_err());
}

#[tokio::test]
async fn a_layer_of_a_size_that_no_disk_has_is_refused_and_costs_nothing() {
    for size in [1 << 53, i64::MAX as u64, u64::MAX] {
        let layer = Descriptor::new(MediaType::ImageLayer, size, content::digest(b"x"));
        let config = content::descriptor(MediaType::EmptyJSON, b"{}");
        let manifest = content::encode(&serde_json::json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": [layer],
        }));
        // The manifest is what it serves for blobs, too.
        let address =
            manifest_server("application/vnd.oci.image.manifest.v1+json", None, manifest).await;
        let (dir, layout) = new_layout();
        let from = reference(address, "demo/kit:v1");
        let error = pull(&client(), &from, &layout, &deaf).await.unwrap_err();
        assert!(matches!(error, Error::Client(_)), "{error:?}");
        assert_eq!(layout.tags().unwrap(), []);
        nothing_is_left(dir.path()).await;
    }
}

#[tokio::test]
async fn redirects_end() {
    let round =
        async |request: Request| (StatusCode::FOUND, [("location", request.uri().to_string())]);
    let address = serve(Router::new().fallback(round)).await;
    let error = client().ping(&address.to_string()).await.unwrap_err();
    assert!(matches!(error, Error::Http(HttpError::Redirect { .. })), "{error:?}");
}

#[tokio::test]
async fn what_a_server_says_is_cut_and_cleaned() {
    let body = format!(
        r#"{{"errors":[{{"code":"DENIED","message":"\u001b[31m{}"}}]}}"#,
        "no ".repeat(10_000)
    );
    let address = serve(Router::new().fallback(async move || (StatusCode::FORBIDDEN, body))).await;
    let text = client().ping(&address.to_string()).await.unwrap_err().to_string();
    assert!(text.contains("answered 403: DENIED: [31mno no") && text.len() < 500, "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test]
async fn nothing_listening_is_said_at_once() {
    let client: Client = client();
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = client.ping(&address.to_string()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot GET http://{address}/v2/"));
}

/// Pages of 4 MB without an end are not read for ever: the list as a whole has a bound.
#[tokio::test]
async fn a_list_without_an_end_is_cut() {
    let n_asked = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&n_asked);
    let registry = Registry::start_with(move |router| {
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let path = request.uri().path().to_owned();
            let list = match path {
                path if path.ends_with("/tags/list") => Some(r#"{"tags": ["v1"]}"#),
                path if path.contains("/referrers/") => {
                    Some(r#"{"schemaVersion": 2, "manifests": []}"#)
                }
                _ => None,
            };
            let n = list.map_or(0, |_| asked.fetch_add(1, Ordering::Relaxed));
            let link = format!("<{}?n={n}>; rel=\"next\"", request.uri().path());
            async move {
                match list {
                    Some(list) => {
                        ([("link", link)], list.to_owned() + &" ".repeat(4_000_000)).into_response()
                    }
                    None => next.run(request).await,
                }
            }
        }))
    })
    .await;
    let (tag, digest) = (registry.reference("demo/kit:v1"), content::digest(b""));
    let tags = client().tags(&tag).await.unwrap_err();
    let referrers = client().referrers(&tag.with_digest(digest), None).await.unwrap_err();
    for error in [tags, referrers] {
        assert!(error.to_string().contains("the list is too long"), "{error}");
    }
    assert_eq!(n_asked.load(Ordering::Relaxed), 2 * 17);
}

/// An index of many large manifests is refused before all of them are in memory.
#[tokio::test]
async fn an_index_of_too_many_large_manifests_is_given_up_early() {
    let child = |n: usize| format!(r#"{{"schemaVersion":2,"manifests":[],"n":"{n:0>60000}"}}"#);
    let children: Vec<String> = (0..20).map(|n| child(n) + &" ".repeat(4_000_000)).collect();
    let entry = |child: &String| {
        let (digest, size) = (content::digest(child.as_bytes()), child.len());
        format!(r#"{{"mediaType":"{}","digest":"{digest}","size":{size}}}"#, MediaType::ImageIndex)
    };
    let entries: Vec<String> = children.iter().map(entry).collect();
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
        MediaType::ImageIndex,
        entries.join(",")
    );
    let documents: Vec<(String, String)> = std::iter::once(("v1".to_owned(), index))
        .chain(children.into_iter().map(|it| (content::digest(it.as_bytes()).to_string(), it)))
        .collect();
    let (documents, n_read) = (Arc::new(documents), Arc::new(AtomicUsize::new(0)));
    let read = Arc::clone(&n_read);
    let registry = Registry::start_with(move |router| {
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let document = documents.iter().find(|(known, _)| *known == name).cloned();
            if document.is_some() && request.method() == "GET" {
                read.fetch_add(1, Ordering::Relaxed);
            }
            async move {
                let Some((_, text)) = document else { return next.run(request).await };
                ([("content-type", MediaType::ImageIndex.to_string())], text).into_response()
            }
        }))
    })
    .await;
    let (_dir, layout) = new_layout();
    let error = pull(&client(), &registry.reference("demo/kit:v1"), &layout, &deaf).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("too many manifests"), "{error}");
    // Of 64 MiB, at four each.
    assert_eq!(n_read.load(Ordering::Relaxed), 1 + 16);
}
