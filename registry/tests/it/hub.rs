//! The hub's client against the hub's server, and against hubs that mean harm.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use kit_registry::hub::{self, Hub, HubFile, RepoId, Snapshot};
use kit_registry::{Error, Event, HubError, Layout, content};
use serde_json::{Value, json};
use tempfile::TempDir;

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
    assert_eq!(log.count("GET", "/tree/"), 3);
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
