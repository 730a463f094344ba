//! Attacks: what clients can make the registry hold, and whether others are answered meanwhile.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use kit_registry::server::{ListenOptions, Registry, ServerOptions, run};
use kit_registry::{Descriptor, MediaType, content};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::{ALGORITHMS, Api, digest_by, image};

/// The largest answer that is made in memory.
const MAX_IN_MEMORY: usize = 64 * 1024;
/// The largest piece that is read of a file.
const MAX_PIECE: usize = 512 * 1024;

/// Asks, and returns the sizes of the pieces in which the answer comes, and the answer.
async fn pieces(api: &Api, path: &str) -> (Vec<usize>, Vec<u8>, axum::http::HeaderMap) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (head, mut body) = api.router.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let (mut sizes, mut bytes) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        sizes.push(piece.len());
        bytes.extend_from_slice(&piece);
    }
    (sizes, bytes, head.headers)
}

/// The path of the next page.
fn next(headers: &axum::http::HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    Some(link.strip_prefix('<').unwrap().to_owned())
}

#[tokio::test]
async fn referrers_with_annotations_of_4_mib_come_one_by_one_and_from_the_disk() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let subject = Descriptor::new(MediaType::ImageManifest, 7, content::digest(b"subject"));
    let mut pushed = BTreeSet::new();
    for n in 0..9 {
        let mut referrer = image(&config, &[]);
        referrer["subject"] = json!(subject);
        referrer["artifactType"] = json!(if n % 2 == 0 { "application/even" } else { "x/odd" });
        let length = if n < 5 { 4_100_000 } else { 10 };
        referrer["annotations"] = json!({ "n": n.to_string(), "long": "x".repeat(length) });
        let descriptor = api.push_manifest("a", &format!("v{n}"), &referrer).await;
        pushed.insert((descriptor.digest().to_string(), n.to_string(), length));
    }
    for (query, n_expected) in [("", 9), ("?artifactType=application/even", 5)] {
        let mut path = Some(format!("/v2/a/referrers/{}{query}", subject.digest()));
        let mut found = BTreeSet::new();
        while let Some(page) = path {
            let (sizes, bytes, headers) = pieces(&api, &page).await;
            assert!(sizes.iter().all(|size| *size <= MAX_PIECE), "{sizes:?}");
            assert!(bytes.len() <= content::MAX_DOCUMENT_SIZE as usize, "every client takes it");
            assert_eq!(headers["content-length"], bytes.len().to_string().as_str());
            let index: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(bytes, content::encode(&index), "as the one encoder writes it");
            let manifests = index["manifests"].as_array().unwrap();
            assert!(bytes.len() < MAX_IN_MEMORY + 1000 || manifests.len() == 1);
            found.extend(manifests.iter().map(|it| {
                let text = |it: &Value| it.as_str().unwrap().to_owned();
                let length = text(&it["annotations"]["long"]).len();
                (text(&it["digest"]), text(&it["annotations"]["n"]), length)
            }));
            path = next(&headers);
        }
        assert_eq!(found.len(), n_expected);
        assert!(found.is_subset(&pushed), "with all annotations");
    }
    // One that no client could take in a list is refused before it is in one.
    let mut referrer = image(&config, &[]);
    referrer["subject"] = json!(subject);
    let room = content::MAX_DOCUMENT_SIZE as usize - content::encode(&referrer).len() - 40;
    referrer["annotations"] = json!({ "long": "x".repeat(room) });
    let bytes = content::encode(&referrer);
    assert!(bytes.len() <= content::MAX_DOCUMENT_SIZE as usize);
    let media_type = MediaType::ImageManifest.to_string();
    api.put_manifest("a", "large", &media_type, bytes).await.expect_error(413, "SIZE_INVALID");
    referrer["annotations"] = json!({});
    referrer["artifactType"] = json!(format!("x/{}", "y".repeat(255)));
    let bytes = content::encode(&referrer);
    api.put_manifest("a", "typed", &media_type, bytes).await.expect_error(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn a_large_manifest_comes_from_the_disk_and_not_when_it_was_changed_there() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let mut large = image(&config, &[]);
    large["annotations"] = json!({ "long": "x".repeat(4_000_000) });
    let descriptor = api.push_manifest("a", "v1", &large).await;
    let (sizes, bytes, _) = pieces(&api, "/v2/a/manifests/v1").await;
    assert!(sizes.iter().all(|size| *size <= MAX_PIECE), "{sizes:?}");
    assert_eq!(bytes, content::encode(&large));
    let mut changed = bytes;
    changed[3_000_000] = b'y';
    std::fs::write(api.layout.blob_path(descriptor.digest()).unwrap(), changed).unwrap();
    api.get("/v2/a/manifests/v1").await.expect_error(500, "UNKNOWN");
}

#[tokio::test]
async fn what_an_error_quotes_is_cut() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let media_type = MediaType::ImageManifest.to_string();
    let mut unknown = Descriptor::new(MediaType::ImageLayer, 1, content::digest(b"nothing"));
    unknown.set_media_type(MediaType::Other("é".repeat(1_000_000)));
    let mut wrong_type = image(&config, &[]);
    wrong_type["layers"] = json!("\u{1}".repeat(500_000));
    for manifest in [image(&config, &[unknown]), wrong_type] {
        let bytes = content::encode(&manifest);
        let answer = api.put_manifest("a", "v1", &media_type, bytes).await.expect(400);
        assert!(answer.body.len() < 10_000, "{}", answer.body.len());
        assert!(!answer.json()["errors"][0]["message"].as_str().unwrap().is_empty());
    }
}

/// Writes an index of many tags.
fn write_tags(api: &Api, tags: impl Iterator<Item = String>) {
    let entry = |name: String| {
        json!({
            "mediaType": MediaType::ImageManifest, "size": 2, "digest": content::digest(b"{}"),
            "annotations": { "org.opencontainers.image.ref.name": name },
        })
    };
    let index = json!({ "schemaVersion": 2, "manifests": tags.map(entry).collect::<Vec<_>>() });
    std::fs::write(api.layout.root().join("index.json"), content::encode(&index)).unwrap();
}

#[tokio::test]
async fn lists_of_many_tags_and_repositories_come_in_small_pages() {
    let api = Api::new();
    let names: BTreeSet<String> = (0..5000).map(|n| format!("{n}-{}", "x".repeat(50))).collect();
    let both =
        names.iter().flat_map(|it| [format!("localhost/{it}:v1"), format!("localhost/a:{it}")]);
    write_tags(&api, both);
    for (first, key) in [("/v2/a/tags/list", "tags"), ("/v2/_catalog", "repositories")] {
        let (mut path, mut found, mut n_pages) = (Some(first.to_owned()), BTreeSet::new(), 0);
        while let Some(page) = path {
            let answer = api.get(&page).await.expect(200);
            assert!(answer.body.len() < MAX_IN_MEMORY + 1000);
            let items = answer.json()[key].as_array().unwrap().clone();
            found.extend(items.into_iter().map(|it| it.as_str().unwrap().to_owned()));
            path = next(&answer.headers);
            n_pages += 1;
        }
        found.remove("a");
        assert_eq!((&found, n_pages), (&names, 5), "{first}");
    }
}

#[tokio::test]
async fn an_index_grows_only_as_far_as_it_can_be_rewritten() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    write_tags(&api, (0..130_000).map(|n| format!("localhost/many:{n}-{}", "x".repeat(80))));
    let media_type = MediaType::ImageManifest.to_string();
    let bytes = content::encode(&image(&config, &[]));
    let answer = api.put_manifest("a", "v1", &media_type, bytes).await.expect(507);
    assert!(answer.text().contains("as many manifests and tags as it can keep"));
}

#[tokio::test]
async fn the_catalog_has_what_has_manifests() {
    let api = Api::new();
    assert_eq!(api.get("/v2/_catalog").await.expect(200).json(), json!({ "repositories": [] }));
    let gone = api.push_image("a/deep/one", "v1", "x").await;
    for name in ["b", "a/b", "c-only-blobs", "a"] {
        api.push_blob(name, b"x").await;
    }
    for name in ["b", "a/b", "a"] {
        api.push_image(name, "v1", name).await;
    }
    api.start("d-only-begun").await;
    let list = async |query: &str| {
        let answer = api.get(&format!("/v2/_catalog{query}")).await.expect(200);
        (answer.json()["repositories"].clone(), next(&answer.headers))
    };
    assert_eq!(list("").await, (json!(["a", "a/b", "a/deep/one", "b"]), None));
    let (first, more) = list("?n=2").await;
    assert_eq!((first, more.as_deref()), (json!(["a", "a/b"]), Some("/v2/_catalog?n=2&last=a/b")));
    assert_eq!(list("?n=2&last=a/b").await, (json!(["a/deep/one", "b"]), None));
    assert_eq!(list("?n=0").await, (json!([]), None));
    api.get("/v2/_catalog?n=-1").await.expect(400);
    api.ask("POST", "/v2/_catalog", &[], "").await.expect(405);
    api.delete(&format!("/v2/a/deep/one/manifests/{}", gone.digest())).await.expect(202);
    assert_eq!(list("").await, (json!(["a", "a/b", "b"]), None));
}

#[tokio::test]
async fn thousands_of_begun_uploads_neither_fill_the_memory_nor_end_those_of_others() {
    let api = Api::new();
    let mine = api.start("a").await;
    api.ask("PATCH", &mine, &[], "it ").await.expect(202);
    for _ in 0..4200 {
        api.start("b").await;
    }
    assert!(api.metric("kit_rs_registry_uploads").await <= 4096);
    let digest = digest_by(&ALGORITHMS[0], b"it goes on");
    api.ask("PUT", &format!("{mine}?digest={digest}"), &[], "goes on").await.expect(201);
}

#[tokio::test]
async fn uploads_that_wait_for_their_clients_hold_no_threads() {
    let api = Arc::new(Api::new());
    let blob = api.push_blob("a", b"x").await;
    // More than the runtime has threads for what waits.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..600 {
        let (api, location) = (api.clone(), api.start("a").await);
        waiting.spawn(async move {
            let piece = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
            let body = Body::from_stream(piece.chain(stream::pending()));
            api.ask("PATCH", &location, &[], body).await.status
        });
    }
    let path = format!("/v2/a/blobs/{}", blob.digest());
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        while api.metric("kit_rs_registry_uploaded_bytes_total").await < 601 {
            tokio::task::yield_now().await;
        }
        api.get(&path).await.status
    });
    assert_eq!(answer.await.expect("others are answered"), 200);
    assert!(waiting.try_join_next().is_none());
}

#[tokio::test]
async fn who_only_reads_does_not_wait_for_those_who_change() {
    let api = Arc::new(Api::new());
    let blob = api.push_blob("a", b"x").await;
    // Whoever adds to the layout waits until nobody has it for himself.
    let alone = std::fs::File::open(api.layout.root().join(".content.lock")).unwrap();
    alone.lock().unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..600 {
        let api = api.clone();
        let path = format!("/v2/b/blobs/uploads/?mount={}&from=a", blob.digest());
        waiting.spawn(async move { api.ask("POST", &path, &[], "").await.status });
    }
    tokio::task::yield_now().await;
    let path = format!("/v2/a/blobs/{}", blob.digest());
    let answer = tokio::time::timeout(Duration::from_secs(20), api.get(&path)).await;
    assert_eq!(answer.expect("who reads is answered").status, 200);
    assert!(waiting.try_join_next().is_none(), "the others wait");
    drop(alone);
    assert!(waiting.join_all().await.iter().all(|status| *status == 201));
}

/// A server in the background.
async fn listen(router: Router, options: ListenOptions) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(run(listener, router, options, std::future::pending()));
    address
}

/// Says what a server answers to a request that is written out, or that it closes the connection.
async fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Some(answer).filter(|it| !it.is_empty())
}

const PING: &str = "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn who_takes_all_connections_and_does_not_read_keeps_nobody_out() {
    let (_dir, layout) = crate::layout::new_layout();
    let router = Registry::new(layout, ServerOptions::default()).router().route(
        "/endless",
        axum::routing::get(async || {
            let piece = Bytes::from_static(&[b'x'; 64 * 1024]);
            Body::from_stream(stream::repeat(piece).map(Ok::<_, std::io::Error>))
        }),
    );
    let options = ListenOptions { max_connections: 16, ..ListenOptions::default() };
    let address = listen(router, options).await;
    let mut deaf = Vec::new();
    for n in 0..64 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = match n % 3 {
            0 => "GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n",
            1 => "GET /endless HT",
            _ => "",
        };
        // Those that are too many may be closed at once.
        drop(stream.write_all(head.as_bytes()).await);
        deaf.push(stream);
    }
    let began = Instant::now();
    for _ in 0..20 {
        // One that comes while all places are taken, and so are those to wait at, comes again.
        let answer = loop {
            assert!(began.elapsed() < Duration::from_secs(20), "a good client is not answered");
            if let Some(answer) = exchange(address, PING).await {
                break answer;
            }
        };
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(deaf);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends() {
    let held: Arc<Mutex<Vec<std::sync::Weak<()>>>> = Arc::default();
    let noted = held.clone();
    let endless = async move || {
        let mark = Arc::new(());
        noted.lock().unwrap().push(Arc::downgrade(&mark));
        let piece = Bytes::from_static(&[b'x'; 64 * 1024]);
        Body::from_stream(stream::repeat(piece).map(move |piece| {
            let _held = &mark;
            Ok::<_, std::io::Error>(piece)
        }))
    };
    let router = Router::new().route("/endless", axum::routing::get(endless));
    let options =
        ListenOptions { write_timeout: Duration::from_millis(50), ..ListenOptions::default() };
    let address = listen(router, options).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < deadline, "it is still held");
        let held = held.lock().unwrap().iter().map(|mark| mark.strong_count()).collect::<Vec<_>>();
        if held == [0] {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(stream);
}

#[tokio::test]
async fn pages_in_a_browser_neither_write_nor_read_by_a_name_of_their_own() {
    let (_dir, layout) = crate::layout::new_layout();
    let registry = Registry::new(layout.clone(), ServerOptions::default()).router();
    let options =
        || ListenOptions { names: Some(vec!["kits.example".into()]), ..Default::default() };
    let models = tempfile::tempdir().unwrap();
    std::fs::create_dir(models.path().join("model")).unwrap();
    std::fs::write(models.path().join("model/config.json"), "{}").unwrap();
    let hub = listen(kit_registry::hub::router(models.path()), options()).await;
    let registry = listen(registry, options()).await;
    let digest = content::digest(b"x");
    let upload = format!("/v2/a/blobs/uploads/?digest={digest}");
    let ask = async |address, method: &str, path: &str, headers: &str| {
        let length = if method == "GET" { 0 } else { 1 };
        let body = &"x"[..length];
        let head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}");
        let answer = exchange(address, &format!("{head}\r\n{headers}\r\n{body}")).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    // DNS rebinding: the page's own name stands for this address.
    for (address, path) in [(registry, "/v2/"), (hub, "/api/models/model")] {
        assert_eq!(ask(address, "GET", path, "host: evil.example\r\n").await, 403);
        for host in
            [address.to_string(), format!("localhost:{}", address.port()), "kits.example".into()]
        {
            assert_eq!(
                ask(address, "GET", path, &format!("host: {host}\r\n")).await,
                200,
                "{host}"
            );
        }
    }
    assert_eq!(ask(registry, "PUT", "/v2/a/manifests/v1", "host: evil.example\r\n").await, 403);
    // A simple request, which a browser sends without asking first.
    for from in ["origin: http://evil.example", "origin: null", "sec-fetch-site: cross-site"] {
        let headers = format!("host: {registry}\r\ncontent-type: text/plain\r\n{from}\r\n");
        assert_eq!(ask(registry, "POST", &upload, &headers).await, 403, "{from}");
    }
    assert!(!layout.contains(&digest));
    assert_eq!(ask(registry, "POST", &upload, &format!("host: {registry}\r\n")).await, 201);
}
