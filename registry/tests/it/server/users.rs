//! Who may come in, over which connection, and what is taken away meanwhile.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use kit_registry::server::{Htpasswd, ListenOptions, Registry, ServerOptions, run, tls};
use kit_registry::{Client, ClientOptions, Error, LayoutError};
use tower::ServiceExt as _;

use super::{ALGORITHMS, Api, digest_by, image};
use crate::client::{deaf, options, reference};

/// `htpasswd -Bbn user secret` of apache2-utils 2.4, with the smallest cost that it takes (`-C 4`).
const USER: &str = "user:$2y$04$08bx3XJKJXtYs4FeQk2mnOaq1/zpIJQZvWsa1GIZjMbUPCYMJEv.C";

pub(super) fn users() -> (tempfile::TempDir, PathBuf, ServerOptions) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    fs::write(&path, format!("# who may come in\n\n{USER}\n")).unwrap();
    let users = Some(Arc::new(Htpasswd::open(&path).unwrap()));
    (dir, path, ServerOptions { users, ..ServerOptions::default() })
}

async fn ask(api: &Api, path: &str, login: Option<&str>) -> super::Answer {
    let header = login.map(|login| format!("Basic {}", STANDARD.encode(login)));
    let headers: Vec<_> = header.iter().map(|header| ("authorization", header.as_str())).collect();
    api.ask("GET", path, &headers, "").await
}

#[tokio::test]
async fn only_users_come_in() {
    let (_dir, path, options) = users();
    let api = Api::with(options);
    for route in ["/v2/", "/v2/a/tags/list", "/metrics"] {
        let answer = ask(&api, route, None).await.expect_error(401, "UNAUTHORIZED");
        assert!(answer.header("www-authenticate").starts_with("Basic realm="));
        for wrong in ["user:wrong", "nobody:secret", "user:", ":", "user"] {
            ask(&api, route, Some(wrong)).await.expect(401);
        }
    }
    for _ in 0..2 {
        ask(&api, "/v2/", Some("user:secret")).await.expect(200);
    }
    let metrics = ask(&api, "/metrics", Some("user:secret")).await.expect(200).text();
    assert!(metrics.contains("kit_rs_registry_refused_logins_total 18\n"), "{metrics}");
    // A user who is taken out of the file is out, whatever else is in it; so are all while it is
    // away.
    fs::write(&path, format!("{USER}\nno user\nother:$2y$04$short\n")).unwrap();
    ask(&api, "/v2/", Some("user:secret")).await.expect(200);
    fs::write(&path, "no user").unwrap();
    ask(&api, "/v2/", Some("user:secret")).await.expect(401);
    fs::write(&path, USER).unwrap();
    ask(&api, "/v2/", Some("user:secret")).await.expect(200);
    fs::remove_file(&path).unwrap();
    ask(&api, "/v2/", Some("user:secret")).await.expect(401);
    fs::write(&path, USER.replace("user:", "other:")).unwrap();
    ask(&api, "/v2/", Some("user:secret")).await.expect(401);
    ask(&api, "/v2/", Some("other:secret")).await.expect(200);
}

#[tokio::test]
async fn what_a_user_has_under_way_ends_with_the_user() {
    let (_dir, path, options) = users();
    let api = Api::with(options);
    let login = format!("Basic {}", STANDARD.encode("user:secret"));
    let headers = [("authorization", login.as_str())];
    let large = vec![b'x'; 8_000_000];
    let digest = digest_by(&ALGORITHMS[0], &large);
    let to = format!("/v2/a/blobs/uploads/?digest={digest}");
    api.ask("POST", &to, &headers, large).await.expect(201);
    // A download that is read slowly, and an upload that goes on for ever.
    let request = axum::http::Request::get(format!("/v2/a/blobs/{digest}"));
    let request = request.header("authorization", &login).body(Body::empty()).unwrap();
    let mut download = api.router.clone().oneshot(request).await.unwrap().into_body();
    download.frame().await.unwrap().unwrap();
    let began = api.ask("POST", "/v2/a/blobs/uploads/", &headers, "").await.expect(202);
    let mut n_pieces = 0;
    let pieces = futures_util::stream::repeat_with(move || {
        n_pieces += 1;
        if n_pieces == 10 {
            fs::write(&path, USER.replace("user:", "other:")).unwrap();
        }
        Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b"x"))
    });
    let answer = api.ask("PATCH", began.header("location"), &headers, Body::from_stream(pieces));
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("it ends");
    answer.expect_error(400, "BLOB_UPLOAD_INVALID");
    let rest = download.collect().await;
    assert!(rest.is_err(), "the download went on");
    ask(&api, "/v2/", Some("user:secret")).await.expect(401);
}

#[tokio::test]
async fn a_flood_of_wrong_logins_keeps_no_user_out() {
    let (_dir, _path, options) = users();
    let api = Arc::new(Api::with(options));
    let flood: Vec<_> = (0..200)
        .map(|n| {
            let api = api.clone();
            tokio::spawn(
                async move { ask(&api, "/v2/", Some(&format!("u{n}:wrong"))).await.status },
            )
        })
        .collect();
    // On this one thread all of them begin to wait before the user comes.
    tokio::task::yield_now().await;
    ask(&api, "/v2/", Some("user:secret")).await.expect(200);
    let n_waiting = flood.iter().filter(|it| !it.is_finished()).count();
    assert!(n_waiting > 50, "the user came after {} of the flood", 200 - n_waiting);
    for answer in flood {
        assert!(matches!(answer.await.unwrap(), 401 | 429));
    }
}

#[test]
fn hashes_that_are_not_bcrypts_are_refused_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    for wrong in ["user", "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "user:$apr1$x$y", "user:secret"]
    {
        fs::write(&path, format!("{USER}\n{wrong}\n")).unwrap();
        let error = Htpasswd::open(&path).unwrap_err();
        assert!(matches!(error, Error::InvalidUsers { line: 2, .. }), "{error:?}");
    }
}

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/testdata/tls", name].iter().collect()
}

#[tokio::test]
async fn transfers_go_over_tls_and_end_before_the_registry_does() {
    let (_dir, layout) = crate::layout::new_layout();
    let (_from, source) = crate::layout::new_layout();
    let image = crate::layout::put_image(&source, &[&"x".repeat(5_000_000)]);
    let registry = Registry::new(layout.clone(), ServerOptions::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listen = ListenOptions {
        tls: Some(tls(&file("server.pem"), &file("server.key")).unwrap()),
        grace: Duration::from_secs(20),
        ..ListenOptions::default()
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving =
        tokio::spawn(run(listener, registry.router(), listen, async move { drop(stopped.await) }));
    let client =
        Client::new(ClientOptions { tls_certs: vec![file("ca.pem")], ..options() }).unwrap();
    let to = reference(address, "demo/kit:v1");
    let pushed = kit_registry::push(&source, &image, &to, &client, &deaf).await.unwrap();
    assert_eq!(pushed.uploaded, 2);
    // The stop comes while a blob is on its way: it arrives.
    let big = layout.document(&image).unwrap().layers[0].clone();
    let mut blob = client.blob(&to, &big).unwrap();
    let mut received = blob.chunk().await.unwrap().unwrap().len();
    stop.send(()).unwrap();
    while let Some(chunk) = blob.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, 5_000_000);
    drop((blob, client));
    serving.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(matches!(tls(&file("none.pem"), &file("server.key")), Err(Error::Certificate { .. })));
}

#[tokio::test]
async fn garbage_goes_while_the_registry_serves_and_what_waits_for_its_manifest_stays() {
    let (_dir, layout) = crate::layout::new_layout();
    let keep = ServerOptions::default();
    let none = ServerOptions { garbage_grace: Duration::ZERO, ..ServerOptions::default() };
    let patient = Registry::new(layout.clone(), keep);
    let api = Api { router: patient.router(), ..Api::new() };
    let tagged = api.push_image("a", "v1", "kept").await;
    let gone = api.push_image("a", "v2", "gone").await;
    let waiting = api.push_blob("b", b"its manifest is on its way").await;
    api.delete(&format!("/v2/a/manifests/{}", gone.digest())).await.expect(202);
    // What is young stays, but for the manifest that nobody has any more.
    assert_eq!(patient.collect_garbage().unwrap().blobs, 1);
    for (repository, content) in
        [("a", &b"kept"[..]), ("a", b"gone"), ("b", b"its manifest is on its way")]
    {
        let digest = digest_by(&ALGORITHMS[0], content);
        api.get(&format!("/v2/{repository}/blobs/{digest}")).await.expect(200);
    }
    // The same folder with no patience.
    let registry = Registry::new(layout.clone(), none);
    let api = Api { router: registry.router(), ..api };
    let collected = registry.collect_garbage().unwrap();
    assert_eq!((collected.blobs, collected.bytes), (2, 4 + waiting.size()));
    api.get(&format!("/v2/b/blobs/{}", waiting.digest())).await.expect_error(404, "BLOB_UNKNOWN");
    api.get("/v2/a/manifests/v1").await.expect(200);
    assert!(layout.verify(&tagged).unwrap().problems.is_empty());
    assert_eq!(api.metric("kit_rs_registry_collected_blobs_total").await, 2);
    // A repository loses what it does not name, though another one has it.
    let shared = api.push_blob("b", b"kept").await;
    registry.collect_garbage().unwrap();
    api.get(&format!("/v2/b/blobs/{}", shared.digest())).await.expect(404);
    api.get(&format!("/v2/a/blobs/{}", shared.digest())).await.expect(200);
    // Another process that adds to the folder is waited for.
    let hold = layout.hold().unwrap();
    assert!(matches!(registry.collect_garbage(), Err(Error::Layout(LayoutError::InUse { .. }))));
    drop(hold);
    registry.collect_garbage().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_collections_at_once_lose_nothing() {
    let (_dir, layout) = crate::layout::new_layout();
    let registry = Registry::new(layout.clone(), ServerOptions::default());
    let api = Arc::new(Api { router: registry.router(), ..Api::new() });
    let collecting = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            registry.collect_garbage().unwrap();
        }
    });
    let pushes = (0..4).map(|n| {
        let api = api.clone();
        tokio::spawn(async move {
            for i in 0..10 {
                api.push_image(&format!("r{n}"), &format!("v{i}"), &format!("{n}-{}", i % 3)).await;
            }
        })
    });
    for push in pushes {
        push.await.unwrap();
    }
    collecting.await.unwrap();
    for (reference, descriptor) in layout.tags().unwrap() {
        assert!(layout.verify(&descriptor).unwrap().problems.is_empty(), "{reference}");
    }
    assert_eq!(layout.tags().unwrap().len(), 40);
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_are_thrown_away() {
    let (_dir, layout) = crate::layout::new_layout();
    let at_once = ServerOptions { upload_expiry: Duration::ZERO, ..ServerOptions::default() };
    let registry = Registry::new(layout, at_once);
    let api = Api { router: registry.router(), ..Api::new() };
    let location = api.start("a").await;
    assert_eq!(api.metric("kit_rs_registry_uploads").await, 1);
    while registry.expire_uploads().unwrap() == 0 {}
    api.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(api.metric("kit_rs_registry_uploads").await, 0);
    assert_eq!(api.metric("kit_rs_registry_expired_uploads_total").await, 1);
}

#[tokio::test]
async fn a_body_that_stands_still_does_not_hold_the_upload() {
    let impatient =
        ServerOptions { stall_timeout: Duration::from_millis(20), ..ServerOptions::default() };
    let api = Api::with(impatient);
    let location = api.start("a").await;
    let slow = || {
        axum::body::Body::from_stream(futures_util::stream::pending::<
            Result<axum::body::Bytes, std::io::Error>,
        >())
    };
    api.ask("PATCH", &location, &[], slow()).await.expect_error(400, "BLOB_UPLOAD_INVALID");
    api.ask("PUT", "/v2/a/manifests/v1", &[], slow()).await.expect_error(400, "MANIFEST_INVALID");
    let content = b"it goes on";
    let digest = digest_by(&ALGORITHMS[0], content);
    api.ask("PUT", &format!("{location}?digest={digest}"), &[], content.to_vec()).await.expect(201);
}

#[tokio::test]
async fn a_name_that_is_no_tag_names_nothing() {
    let api = Api::new();
    api.get("/v2/a/manifests/.INVALID").await.expect_error(404, "MANIFEST_UNKNOWN");
    let config = api.push_blob("a", b"{}").await;
    let manifest = kit_registry::content::encode(&image(&config, &[]));
    api.put_manifest("a", ".INVALID", "application/vnd.oci.image.manifest.v1+json", manifest)
        .await
        .expect_error(400, "TAG_INVALID");
}
