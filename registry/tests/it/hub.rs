//! The hub's client against the hub's server, and against hubs that mean harm.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::BodyExt as _;
use kit_registry::hub::{self, Hub, HubFile, RepoId, Snapshot};
use kit_registry::{Error, Event, HubError, Layout, content};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::client::{Log, options, serve};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A folder with one model in it.
fn models() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &[u8]| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("org/model/config.json", b"{}");
    write("org/model/sub dir/notes#1.txt", b"notes");
    write("org/model/model.safetensors", &[&[0, 1, 2], "x".repeat(3_000_000).as_bytes()].concat());
    write("org/model/empty", b"");
    write("org/model/.cache/hidden", b"hidden");
    write("datasets/org/data/rows.jsonl", b"{}\n");
    dir
}

fn client(address: SocketAddr, token: Option<&str>) -> Hub {
    Hub::new(&format!("http://{address}"), token.map(str::to_owned), &options()).unwrap()
}

fn repo(name: &str) -> RepoId {
    name.parse().unwrap()
}

async fn download_all(hub: &Hub, snapshot: &Snapshot, into: &Path) -> Result<(), Error> {
    for file in &snapshot.files {
        hub.download(snapshot, file, into, &|_| {}).await?;
    }
    Ok(())
}

/// The names of what lies in a folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// How much of a file is there.
fn bytes(event: &Event) -> u64 {
    match event {
        Event::FileProgress { bytes, .. } => *bytes,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_model_comes_through_the_door_as_it_is() {
    let (models, into) = (models(), tempfile::tempdir().unwrap());
    let hub = client(serve(hub::router(models.path())).await, None);
    let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
    let paths: Vec<&str> = snapshot.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["config.json", "empty", "model.safetensors", "sub dir/notes#1.txt"]);
    let weights = fs::read(models.path().join("org/model/model.safetensors")).unwrap();
    assert_eq!(snapshot.files[2].size, 3_000_003);
    assert_eq!(snapshot.files[2].sha256.as_deref(), Some(content::digest(&weights).digest()));
    assert_eq!(snapshot.files[0].sha256, None);
    download_all(&hub, &snapshot, into.path()).await.unwrap();
    for path in paths {
        assert_eq!(
            fs::read(into.path().join(path)).unwrap(),
            fs::read(models.path().join("org/model").join(path)).unwrap()
        );
    }
    assert_eq!(names(into.path()), ["config.json", "empty", "model.safetensors", "sub dir"]);
    // The commit stands for the content.
    let again = hub.files(&repo("org/model"), &snapshot.sha).await.unwrap();
    assert_eq!(again.sha, snapshot.sha);
    fs::write(models.path().join("org/model/config.json"), "{ }").unwrap();
    assert_ne!(hub.files(&repo("org/model"), "main").await.unwrap().sha, snapshot.sha);
}

#[tokio::test]
async fn datasets_come_through_the_door() {
    let (models, into) = (models(), tempfile::tempdir().unwrap());
    let hub = client(serve(hub::router(models.path())).await, None);
    let snapshot = hub.files(&repo("datasets/org/data"), "main").await.unwrap();
    download_all(&hub, &snapshot, into.path()).await.unwrap();
    assert_eq!(fs::read(into.path().join("rows.jsonl")).unwrap(), b"{}\n");
}

#[tokio::test]
async fn a_download_goes_on_in_a_later_call() {
    let (models, into) = (models(), tempfile::tempdir().unwrap());
    let log = Log::default();
    let hub = client(serve(log.of(hub::router(models.path()))).await, None);
    let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
    let file = &snapshot.files[2];
    let weights = fs::read(models.path().join("org/model/model.safetensors")).unwrap();
    let partial = format!("model.safetensors.{}.incomplete", &file.sha256.as_ref().unwrap()[..16]);
    fs::write(into.path().join(&partial), &weights[..1_000_000]).unwrap();
    let told = Mutex::new(Vec::new());
    hub.download(&snapshot, file, into.path(), &|event| told.lock().unwrap().push(bytes(&event)))
        .await
        .unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!((told.first(), told.last()), (Some(&1_000_000), Some(&3_000_003)));
    assert_eq!(fs::read(into.path().join("model.safetensors")).unwrap(), weights);
    assert_eq!(log.seen().last().unwrap().headers["range"], "bytes=1000000-");

    // A beginning that is wrong is found by the digest, and is gone for the next call.
    fs::write(into.path().join(&partial), "wrong").unwrap();
    let wrong = hub.download(&snapshot, file, into.path(), &|_| {}).await;
    assert!(matches!(wrong, Err(Error::Hub(HubError::WrongFile { .. }))), "{wrong:?}");
    assert_eq!(names(into.path()), ["model.safetensors"]);
    hub.download(&snapshot, file, into.path(), &|_| {}).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_said_by_name() {
    let models = models();
    let hub = client(serve(hub::router(models.path())).await, None);
    let unknown = hub.files(&repo("org/other"), "main").await;
    assert!(matches!(unknown, Err(Error::Hub(HubError::UnknownRepo { .. }))), "{unknown:?}");
    let unknown = hub.files(&repo("org"), "main").await;
    assert!(matches!(unknown, Err(Error::Hub(HubError::UnknownRepo { .. }))), "{unknown:?}");
    let unknown = hub.files(&repo("org/model"), "v2").await;
    assert!(matches!(unknown, Err(Error::Hub(HubError::UnknownRevision { .. }))), "{unknown:?}");
    let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
    let file = HubFile { path: "none".into(), size: 1, oid: String::new(), sha256: None };
    let into = tempfile::tempdir().unwrap();
    let unknown = hub.download(&snapshot, &file, into.path(), &|_| {}).await;
    assert!(matches!(unknown, Err(Error::Hub(HubError::UnknownFile { .. }))), "{unknown:?}");
}

/// A hub that lists these entries.
fn listing(entries: Value) -> Router {
    Router::new()
        .route("/api/models/org/model/revision/main", get(async || Json(json!({ "sha": COMMIT }))))
        .route(&format!("/api/models/org/model/tree/{COMMIT}"), get(async move || Json(entries)))
}

#[tokio::test]
async fn a_listing_cannot_name_files_outside() {
    for path in ["../up", "/etc/passwd", "a/../../b", "a\\b", "C:\\x"] {
        let entries = json!([
            { "type": "file", "path": path, "size": 1, "oid": "1" },
            { "type": "file", "path": "12:30.json", "size": 1, "oid": "1" },
        ]);
        let hub = client(serve(listing(entries)).await, None);
        let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
        assert_eq!(snapshot.unwritable, [path]);
        let [file] = &snapshot.files[..] else { panic!("{snapshot:?}") };
        assert_eq!(file.path, "12:30.json");
        // Whoever makes such a file himself is refused.
        let into = tempfile::tempdir().unwrap();
        let file = HubFile { path: path.into(), ..file.clone() };
        let refused = hub.download(&snapshot, &file, into.path(), &|_| {}).await;
        assert!(
            matches!(refused, Err(Error::Hub(HubError::UnsafePath { .. }))),
            "{path}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn every_file_is_compared_with_what_the_hub_calls_its_content() {
    let small = Router::new().fallback(async || "{}");
    // What `git hash-object` says of `{}`, and of `[]`.
    for (oid, is_right) in [
        ("9e26dfeeb6e641a33dae4961196235bdb965b21b", true),
        ("0637a088a01e8ddab3bf3fa98dbe804cbde1a0dc", false),
    ] {
        let entries = json!([{ "type": "file", "path": "config.json", "size": 2, "oid": oid }]);
        let hub = client(serve(listing(entries).merge(small.clone())).await, None);
        let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
        let [file] = &snapshot.files[..] else { panic!("one file") };
        assert!(file.is_named());
        let into = tempfile::tempdir().unwrap();
        let downloaded = hub.download(&snapshot, file, into.path(), &|_| {}).await;
        match is_right {
            true => downloaded.unwrap(),
            false => {
                let error = downloaded.unwrap_err();
                assert!(matches!(error, Error::Hub(HubError::WrongFile { .. })), "{error:?}");
                assert!(names(into.path()).is_empty());
            }
        }
    }
    // Where there is no name, that can be said.
    for entry in [
        json!({ "type": "file", "path": "a", "size": 2 }),
        json!({ "type": "file", "path": "a", "size": 2, "oid": "0".repeat(40), "lfs": { "size": 2 } }),
    ] {
        let hub = client(serve(listing(json!([entry]))).await, None);
        let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
        assert!(!snapshot.files[0].is_named());
    }
}

#[tokio::test]
async fn a_listing_has_pages() {
    let page = async |request: Request| -> Response {
        let name = if request.uri().query().unwrap().contains("cursor") { "b" } else { "a" };
        let link = format!("<{}&cursor=x>; rel=\"next\"", request.uri());
        let entries = Json(
            json!([{ "type": "file", "path": name, "size": 1, "oid": name }, { "type": "directory", "path": "d" }]),
        );
        match name {
            "a" => ([("link", link)], entries).into_response(),
            _ => entries.into_response(),
        }
    };
    let router = Router::new()
        .route("/api/models/org/model/revision/main", get(async || Json(json!({ "sha": COMMIT }))))
        .route(&format!("/api/models/org/model/tree/{COMMIT}"), get(page));
    let snapshot =
        client(serve(router).await, None).files(&repo("org/model"), "main").await.unwrap();
    assert_eq!(
        snapshot.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[tokio::test]
async fn the_token_stays_with_the_hub_when_a_file_lies_elsewhere() {
    let weights = b"weights";
    let log = Log::default();
    let store = serve(log.of(Router::new().fallback(async || &weights[..]))).await;
    let sha256 = content::digest(weights).digest().to_owned();
    let entries = json!([{
        "type": "file", "path": "model.bin", "size": 7, "oid": "1", "lfs": { "oid": sha256, "size": 7, "pointerSize": 134 },
    }]);
    let redirect = async move || {
        (StatusCode::FOUND, [("location", format!("http://{store}/blob?signature=1"))])
    };
    let router = listing(entries).fallback(redirect).layer(middleware::from_fn(
        async |request: Request, next: Next| match request
            .headers()
            .get("authorization")
            .is_some_and(|shown| shown == "Bearer the-token")
        {
            true => next.run(request).await,
            false => StatusCode::UNAUTHORIZED.into_response(),
        },
    ));
    let address = serve(router).await;
    let into = tempfile::tempdir().unwrap();
    let hub = client(address, Some("the-token"));
    let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
    download_all(&hub, &snapshot, into.path()).await.unwrap();
    assert_eq!(fs::read(into.path().join("model.bin")).unwrap(), weights);
    assert_eq!(log.seen().len(), 1);
    assert!(!log.has_authorization());
    let stranger = client(address, None).files(&repo("org/model"), "main").await;
    assert!(matches!(stranger, Err(Error::Hub(HubError::UnknownRepo { .. }))), "{stranger:?}");
}

#[tokio::test]
async fn a_file_with_another_content_is_refused_and_taken_away() {
    let sha256 = content::digest(b"weights").digest().to_owned();
    for (body, cause) in
        [("WEIGHTS", "its sha256 should be"), ("short", "7 bytes"), ("much longer", "7 bytes")]
    {
        let entries = json!([{
            "type": "file", "path": "model.bin", "size": 7, "oid": "1", "lfs": { "oid": sha256, "size": 7 },
        }]);
        let into = tempfile::tempdir().unwrap();
        let hub = client(serve(listing(entries).fallback(async move || body)).await, None);
        let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
        let error = download_all(&hub, &snapshot, into.path()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Hub(HubError::WrongFile { reason, .. }) if reason.contains(cause)),
            "{error:?}"
        );
        assert!(names(into.path()).is_empty());
    }
}

#[tokio::test]
async fn a_gated_model_says_so() {
    let gated = async || (StatusCode::FORBIDDEN, [("x-error-code", "GatedRepo")]);
    let hub = client(serve(Router::new().fallback(gated)).await, None);
    let error = hub.files(&repo("org/model"), "main").await.unwrap_err();
    assert!(matches!(error, Error::Hub(HubError::GatedRepo { .. })), "{error:?}");
}

#[test]
fn a_token_is_not_sent_in_the_clear() {
    let refused = Hub::new("http://hub.test", Some("token".into()), &options());
    assert!(matches!(refused, Err(Error::Hub(HubError::PlainToken { .. }))), "{refused:?}");
    assert!(Hub::new("http://hub.test", None, &options()).is_ok());
    let hub = Hub::new("https://hub.test", Some("the-token".into()), &options()).unwrap();
    assert!(!format!("{hub:?}").contains("the-token"));
}

#[tokio::test]
async fn listings_of_many_files_come_in_pages() {
    let models = tempfile::tempdir().unwrap();
    fs::create_dir_all(models.path().join("org/many")).unwrap();
    for number in 0..2300 {
        fs::write(models.path().join(format!("org/many/{number}")), number.to_string()).unwrap();
    }
    let log = Log::default();
    let hub = client(serve(log.of(hub::router(models.path()))).await, None);
    let snapshot = hub.files(&repo("org/many"), "main").await.unwrap();
    assert_eq!(
        snapshot
            .files
            .iter()
            .map(|file| &file.path)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        2300
    );
    assert!(log.count("GET", "/tree/") >= 3);
}

#[tokio::test]
async fn a_large_file_comes_in_parts_and_goes_on_with_those_that_are_missing() {
    let models = tempfile::tempdir().unwrap();
    fs::create_dir_all(models.path().join("org/large")).unwrap();
    // Five parts, the last one short, of 67 blocks.
    let content: Vec<u8> =
        (0..70_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(models.path().join("org/large/model.bin"), &content).unwrap();
    let log = Log::default();
    let hub = client(serve(log.of(hub::router(models.path()))).await, None);
    let snapshot = hub.files(&repo("org/large"), "main").await.unwrap();
    let [file] = &snapshot.files[..] else { panic!("one file") };
    let into = tempfile::tempdir().unwrap();
    // As a download leaves it that was killed: of its blocks of 1 MiB the first 16 are there, and
    // 32 more in the middle.
    let partial =
        into.path().join(format!("model.bin.{}.incomplete", &file.sha256.as_ref().unwrap()[..16]));
    let mut there = content.clone();
    there[16 * 1024 * 1024..2 * 16 * 1024 * 1024].fill(0);
    there[4 * 16 * 1024 * 1024..].fill(0);
    fs::write(&partial, there).unwrap();
    let map = |is_there: &dyn Fn(usize) -> bool| {
        let marks = (0..67).map(|block| u8::from(is_there(block)));
        let head = [&b"kitpart1"[..], &70_000_000_u64.to_le_bytes()].concat();
        fs::write(
            format!("{}.map", partial.display()),
            head.into_iter().chain(marks).collect::<Vec<_>>(),
        )
        .unwrap();
    };
    map(&|block| !(16..32).contains(&block) && block < 64);
    // While somebody else is at it, nothing is touched.
    let lock = fs::File::open(format!("{}.map", partial.display())).unwrap();
    lock.lock().unwrap();
    let error = hub.download(&snapshot, file, into.path(), &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Hub(HubError::DownloadUnderWay { .. })), "{error:?}");
    drop(lock);
    assert!(!file.is_at(&partial).unwrap(), "its size is right, its content is not yet");
    hub.download(&snapshot, file, into.path(), &|_| {}).await.unwrap();
    assert!(fs::read(into.path().join("model.bin")).unwrap() == content);
    assert_eq!(names(into.path()), ["model.bin"]);
    assert!(file.is_at(&into.path().join("model.bin")).unwrap());
    assert_eq!(log.count("GET", "/resolve/"), 2, "what lies between, and the end");
    // A part that is not what it should be is found out by the digest.
    fs::remove_file(into.path().join("model.bin")).unwrap();
    fs::write(&partial, vec![7; content.len()]).unwrap();
    map(&|block| block == 0);
    let error = hub.download(&snapshot, file, into.path(), &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Hub(HubError::WrongFile { .. })), "{error:?}");
    assert!(names(into.path()).is_empty());
}

#[tokio::test]
async fn of_a_head_no_more_comes_than_was_asked_for() {
    let models = models();
    let log = Log::default();
    let hub = client(serve(log.of(hub::router(models.path()))).await, None);
    let snapshot = hub.files(&repo("org/model"), "main").await.unwrap();
    let [config, empty, weights, _] = &snapshot.files[..] else { panic!("four files") };
    assert_eq!(hub.head(&snapshot, weights, 5).await.unwrap(), [0, 1, 2, b'x', b'x']);
    assert_eq!(log.seen().last().unwrap().headers["range"], "bytes=0-4");
    assert_eq!(hub.head(&snapshot, config, 1000).await.unwrap(), b"{}");
    assert_eq!(hub.head(&snapshot, empty, 1000).await.unwrap(), b"");
}

#[tokio::test]
async fn a_large_file_becomes_a_framed_blob_and_goes_on_after_a_kill() {
    let models = tempfile::tempdir().unwrap();
    fs::create_dir_all(models.path().join("org/large")).unwrap();
    let content: Vec<u8> =
        (0..40_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(models.path().join("org/large/model.bin"), &content).unwrap();
    let log = Log::default();
    let hub = client(serve(log.of(hub::router(models.path()))).await, None);
    let snapshot = hub.files(&repo("org/large"), "main").await.unwrap();
    let [file] = &snapshot.files[..] else { panic!("one file") };
    let frame = hub::Frame { before: vec![b'<'; 1536], after: vec![b'>'; 2_000_000] };
    let whole = [&frame.before[..], &content, &frame.after].concat();
    let into = tempfile::tempdir().unwrap();
    let layout = Layout::init(into.path()).unwrap();
    // It breaks off as soon as three connections together have brought more than three blocks: one
    // of these is whole.
    let (started, stopped) = tokio::sync::oneshot::channel();
    let started = Mutex::new(Some(started));
    let on = |event: Event| {
        if bytes(&event) > 3 << 20 {
            started.lock().unwrap().take().map(|it| it.send(()));
        }
    };
    tokio::select! {
        _ = hub.download_framed(&snapshot, file, &frame, &layout, &on) => panic!("it was to be stopped"),
        _ = stopped => {}
    }
    let first = Mutex::new(None);
    let on = |event: Event| {
        first.lock().unwrap().get_or_insert(bytes(&event));
    };
    let (digest, size) =
        hub.download_framed(&snapshot, file, &frame, &layout, &on).await.unwrap().unwrap();
    assert!(first.into_inner().unwrap().unwrap() > 0, "it began anew");
    assert_eq!((&digest, size), (&content::digest(&whole), whole.len() as u64));
    assert!(fs::read(layout.blob_path(&digest).unwrap()).unwrap() == whole);

    // It is not fetched again, also where the one who fetched it did not live to hear of it; but
    // when the blob is gone it is.
    let n_seen = log.seen().len();
    let again =
        hub.download_framed(&snapshot, file, &frame, &layout, &|_| {}).await.unwrap().unwrap();
    assert_eq!((&again.0, log.seen().len()), (&digest, n_seen));
    fs::remove_file(layout.blob_path(&digest).unwrap()).unwrap();
    hub.download_framed(&snapshot, file, &frame, &layout, &|_| {}).await.unwrap().unwrap();
    assert!(log.seen().len() > n_seen && layout.size(&digest) == Some(size));
    assert_eq!(names(&into.path().join("ingest")).len(), 1, "what the whole blob is called");

    // Another content than the listing says does not become a blob.
    let wrong = HubFile { sha256: Some("0".repeat(64)), ..file.clone() };
    let error = hub.download_framed(&snapshot, &wrong, &frame, &layout, &|_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Hub(HubError::WrongFile { .. })), "{error:?}");
    assert_eq!(names(&into.path().join("ingest")).len(), 1);
}

/// Asks a hub as the official client does; returns the status, the document, and the next page.
async fn asked(router: &Router, request: Request) -> (u16, Value, Option<String>) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let next = head.headers.get("link").map(|it| it.to_str().unwrap().to_owned());
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default(), next)
}

async fn got(router: &Router, path: &str) -> Value {
    let request = Request::get(path).header("host", "hub").body(Body::empty()).unwrap();
    let (status, document, next) = asked(router, request).await;
    assert_eq!((status, next), (200, None), "{path}: {document}");
    document
}

#[tokio::test]
async fn the_official_client_hears_of_sizes_paths_refs_and_commits() {
    let models = models();
    let router = hub::router(models.path());
    let info = got(&router, "/api/models/org/model?blobs=True").await;
    let sha = info["sha"].as_str().unwrap();
    assert_eq!((sha.len(), &info["author"]), (40, &json!("org")));
    let siblings = info["siblings"].as_array().unwrap();
    let of = |name: &str| siblings.iter().find(|it| it["rfilename"] == name).unwrap();
    assert_eq!(siblings.len(), 4);
    assert_eq!((&of("config.json")["size"], &of("config.json")["lfs"]), (&json!(2), &Value::Null));
    let weights = fs::read(models.path().join("org/model/model.safetensors")).unwrap();
    assert_eq!(of("model.safetensors")["lfs"]["sha256"], content::digest(&weights).digest());
    assert_eq!(of("model.safetensors")["lfs"]["size"], 3_000_003);
    let plain = got(&router, "/api/models/org/model").await;
    assert_eq!(plain["siblings"][0], json!({ "rfilename": "config.json" }));

    let paths_info = async |content_type: &str, body: &str| {
        let request = Request::post("/api/models/org/model/paths-info/main")
            .header("content-type", content_type)
            .body(Body::from(body.to_owned()))
            .unwrap();
        asked(&router, request).await
    };
    let form =
        "paths=config.json&paths=sub+dir&paths=none&paths=sub&paths=config.json&expand=False";
    let (status, found, _) = paths_info("application/x-www-form-urlencoded", form).await;
    let shown: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["type"].clone(), it["path"].clone()))
        .collect();
    let expected =
        [("file", "config.json"), ("directory", "sub dir")].map(|(a, b)| (json!(a), json!(b)));
    assert_eq!((status, shown), (200, expected.to_vec()));
    let body = r#"{"paths":["model.safetensors","../model/config.json"],"expand":true}"#;
    let (status, found, _) = paths_info("application/json", body).await;
    assert_eq!((status, found.as_array().unwrap().len()), (200, 1));
    assert_eq!(
        (&found[0]["lfs"]["size"], &found[0]["lastCommit"]["id"]),
        (&json!(3_000_003), &json!(sha))
    );
    let many = "paths=x&".repeat(1001);
    assert_eq!(paths_info("application/x-www-form-urlencoded", &many).await.0, 400);
    assert_eq!(paths_info("application/json", &"[".repeat(1_000_000)).await.0, 400);

    let refs = got(&router, "/api/models/org/model/refs").await;
    let main = json!({ "name": "main", "ref": "refs/heads/main", "targetCommit": sha });
    assert_eq!(refs, json!({ "branches": [main], "converts": [], "tags": [] }));
    let commits = got(&router, "/api/models/org/model/commits/main").await;
    assert_eq!(commits.as_array().unwrap().len(), 1);
    assert_eq!((&commits[0]["id"], &commits[0]["authors"]), (&json!(sha), &json!([])));
    let date = commits[0]["date"].as_str().unwrap();
    assert_eq!((date.len(), &date[19..20], &date[23..]), (24, ".", "Z"));

    let delete = Request::delete("/api/models/org/model").body(Body::empty()).unwrap();
    assert_eq!(asked(&router, delete).await.0, 405);
    let post = Request::post("/api/models/org/model").body(Body::empty()).unwrap();
    assert_eq!(asked(&router, post).await.0, 405);
}

#[tokio::test]
async fn models_are_listed_by_author_and_what_a_folder_cannot_tell_is_refused() {
    let models = models();
    for path in ["org/other/a", "alone/a", "else/model/a", "alone/onnx/b", "empty/none/x/y"] {
        let path = models.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("a"), "x").unwrap();
    let there = [("org/there".to_owned(), elsewhere.path().to_owned())].into();
    let router = hub::router_with(models.path(), there);
    let names = async |path: &str| {
        let list = got(&router, path).await;
        let ids = list.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let all = ["alone", "else/model", "org/model", "org/other", "org/there"];
    assert_eq!(names("/api/models").await, all);
    assert_eq!(names("/api/models?author=org&full=True").await, all[2..]);
    assert_eq!(names("/api/models?search=OTH&search=org").await, ["org/other"]);
    assert_eq!(names("/api/models?author=nobody").await, Vec::<String>::new());
    assert_eq!(names("/api/datasets").await, ["org/data"]);
    assert_eq!(got(&router, "/api/models/org/there").await["siblings"][0]["rfilename"], "a");
    for query in ["filter=text-classification", "pipeline_tag=x", "sort=lastModified", "new=1"] {
        let path = format!("/api/models?{query}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(asked(&router, request).await.0, 400, "{query}");
    }
    let request = Request::get("/api/models?author=org&limit=2").header("host", "hub");
    let (_, page, next) = asked(&router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.as_array().unwrap().len(), 2);
    let next = next.unwrap();
    assert_eq!(next, "<http://hub/api/models?author=org&limit=2&cursor=2>; rel=\"next\"");
}

#[tokio::test]
async fn a_link_that_leads_out_of_the_folder_is_not_followed() {
    let (models, outside) = (models(), tempfile::tempdir().unwrap());
    fs::create_dir_all(outside.path().join("secret")).unwrap();
    fs::write(outside.path().join("secret/id_rsa"), "x").unwrap();
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, models.path().join(name)).unwrap();
    };
    link(outside.path(), "out");
    link(&outside.path().join("secret"), "out2");
    link(&outside.path().join("secret"), "org/out");
    link(&outside.path().join("secret/id_rsa"), "org/model/id_rsa");
    link(&models.path().join("org/model"), "org/inside");
    let router = hub::router(models.path());
    for path in [
        "/api/models/out/secret",
        "/api/models/out2",
        "/api/models/org/out",
        "/org/out/resolve/main/id_rsa",
        "/out/secret/resolve/main/id_rsa",
        "/org/model/resolve/main/id_rsa",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(asked(&router, request).await.0, 404, "{path}");
    }
    let listed = got(&router, "/api/models").await.to_string();
    assert!(!listed.contains("out") && listed.contains("org/inside"), "{listed}");
    assert_eq!(
        got(&router, "/api/models/org/inside").await["siblings"].as_array().unwrap().len(),
        4
    );
}

#[tokio::test]
async fn a_description_of_many_files_comes_in_pieces() {
    let models = tempfile::tempdir().unwrap();
    fs::create_dir(models.path().join("many")).unwrap();
    for number in 0..1000 {
        fs::write(models.path().join(format!("many/{number}-{}", "x".repeat(100))), "").unwrap();
    }
    let request = Request::get("/api/models/many?blobs=1").body(Body::empty()).unwrap();
    let mut body = hub::router(models.path()).oneshot(request).await.unwrap().into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        assert!(piece.len() < 64 * 1024, "{}", piece.len());
        bytes.extend_from_slice(&piece);
    }
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let names =
        document["siblings"].as_array().unwrap().iter().map(|it| it["rfilename"].to_string());
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), 1000);
}
