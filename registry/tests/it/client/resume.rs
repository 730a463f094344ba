//! Transfers that break off go on where they were.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit_registry::{pull, push};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Log, Registry, client, deaf, reference, serve};
use crate::layout::{new_layout, put_image};

pub(super) const SIZE: usize = 6_000_000;
const CUT: usize = 2_000_000;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

/// Stands before a server, and cuts the first connection on which so many bytes have gone one way.
pub(super) async fn cutting(server: SocketAddr, way: Way) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let has_cut = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, server, way, has_cut.clone()));
        }
    });
    address
}

async fn relay(client: TcpStream, server: SocketAddr, way: Way, has_cut: Arc<AtomicBool>) {
    let server = TcpStream::connect(server).await.unwrap();
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let limit = |direction| if direction == way { CUT } else { usize::MAX };
    tokio::select! {
        () = copy(from_client, to_server, limit(Way::ToServer), &has_cut) => {}
        () = copy(from_server, to_client, limit(Way::ToClient), &has_cut) => {}
    }
}

/// Copies until the end, or until the cut that happens only once.
async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    limit: usize,
    has_cut: &AtomicBool,
) {
    let (mut total, mut buffer) = (0, vec![0; 16 * 1024]);
    while let Ok(n) = from.read(&mut buffer).await {
        total += n;
        let is_cut = total > limit && !has_cut.swap(true, Ordering::Relaxed);
        if n == 0 || is_cut || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(SIZE)]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let proxy = cutting(registry.address, Way::ToClient).await;
    let pulled = pull(&client(), &reference(proxy, "demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    // Nothing came twice, and the second request was for the rest.
    assert_eq!(pulled.downloaded_bytes, SIZE as u64 + 2 + image.size());
    let ranges: Vec<String> = registry
        .log
        .seen()
        .iter()
        .filter_map(|seen| Some(seen.headers.get("range")?.to_str().ok()?.to_owned()))
        .collect();
    let [range] = ranges.as_slice() else { panic!("{ranges:?}") };
    let start: usize =
        range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    assert!((1_000_000..=CUT).contains(&start), "{range}");
}

#[tokio::test]
async fn a_download_without_ranges_skips_what_it_has() {
    let registry = Registry::start_with(|router| {
        router.layer(axum::middleware::map_request(async |mut request: axum::extract::Request| {
            request.headers_mut().remove("range");
            request
        }))
    })
    .await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(SIZE)]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let proxy = cutting(registry.address, Way::ToClient).await;
    pull(&client(), &reference(proxy, "demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_brought_to_its_end() {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(SIZE)]);
    let proxy = cutting(registry.address, Way::ToServer).await;
    let pushed =
        push(&layout, &image, &reference(proxy, "demo/kit:v1"), &client(), &deaf).await.unwrap();
    assert_eq!(pushed.uploaded, 2);
    pull(&client(), &registry.reference("demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    // The session of the first attempt went on, if the registry had kept what it got; a new one
    // began if not. One PATCH was taken; others came too early, while the registry still took in
    // what had arrived before the cut, and were refused for it.
    let (taken, refused): (Vec<_>, Vec<_>) = registry
        .log
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "PATCH")
        .partition(|seen| seen.status == Some(202));
    let sessions = registry.log.count("POST", "/uploads/");
    assert!(
        taken.len() == 1 && sessions == 2
            || taken.is_empty() && refused.is_empty() && sessions == 3,
        "{taken:?} {sessions}"
    );
    assert!(refused.iter().all(|seen| matches!(seen.status, Some(409 | 416))), "{refused:?}");
    assert!(pushed.uploaded_bytes > SIZE as u64);
}

/// A registry that keeps the first bytes of an upload, fails, and remembers what it has.
async fn forgetful() -> (SocketAddr, Arc<Mutex<Vec<u8>>>, Log) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = received.clone();
    let answer = async move |request: Request| -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let session = [("location", "/v2/demo/kit/blobs/uploads/session?state=1")];
        let mut kept = kept.lock().unwrap();
        match parts.method.as_str() {
            "POST" => (StatusCode::ACCEPTED, session).into_response(),
            "PUT" if parts.uri.path().contains("/manifests/") => {
                StatusCode::CREATED.into_response()
            }
            "PUT" if kept.is_empty() => {
                kept.extend_from_slice(&body[..10]);
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            "GET" => (StatusCode::NO_CONTENT, session, [("range", "0-9")]).into_response(),
            "PATCH" => {
                kept.extend_from_slice(&body);
                (StatusCode::ACCEPTED, session).into_response()
            }
            "PUT" => StatusCode::CREATED.into_response(),
            // Only the layer is missing: the configuration has two bytes.
            _ if parts.uri.path().contains("44136fa3") => [("content-length", "2")].into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let log = Log::default();
    let address = serve(log.of(Router::new().fallback(answer))).await;
    (address, received, log)
}

#[tokio::test]
async fn an_upload_session_goes_on_where_the_registry_says() {
    let (address, received, log) = forgetful().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["0123456789 and the rest"]);
    let pushed =
        push(&layout, &image, &reference(address, "demo/kit:v1"), &client(), &deaf).await.unwrap();
    assert_eq!(received.lock().unwrap().as_slice(), b"0123456789 and the rest");
    assert_eq!(log.count("POST", "/uploads/"), 1);
    let patch = log.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(patch.headers["content-range"], "10-22");
    assert_eq!(pushed.uploaded_bytes, 23 + 13 + image.size());
}
