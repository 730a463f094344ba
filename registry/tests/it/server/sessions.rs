//! Uploads that break off, go on, expire, or are not the client's own.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures_util::stream;
use kit_registry::content;
use kit_registry::server::ServerOptions;

use super::Api;

#[tokio::test]
async fn an_upload_goes_on_after_a_broken_request_and_a_restart() {
    let api = Api::new();
    let location = api.start("a").await;
    let broken = stream::iter([Ok(Bytes::from("first ")), Err(std::io::Error::other("gone"))]);
    api.ask("PATCH", &location, &[], Body::from_stream(broken))
        .await
        .expect_error(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(api.get(&location).await.expect(204).header("range"), "0-5", "what arrived stays");

    let api = api.restart();
    assert_eq!(api.get(&location).await.expect(204).header("range"), "0-5");
    api.ask("PATCH", &location, &[("content-range", "6-11")], "second").await.expect(202);
    let digest = content::digest(b"first second third");
    api.ask("PUT", &format!("{location}?digest={digest}"), &[], " third").await.expect(201);
    assert_eq!(
        api.get(&format!("/v2/a/blobs/{digest}")).await.expect(200).body,
        b"first second third"
    );
}

#[tokio::test]
async fn the_newest_request_takes_an_upload_over() {
    let api = Api::new();
    let location = api.start("a").await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = stream::unfold(receiver, |mut receiver| async move {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    });
    let stalled = api.ask("PATCH", &location, &[], Body::from_stream(body));
    let newer = async {
        sender.send("first ".into()).await.unwrap();
        wait_for(async || api.get(&location).await.header("range") == "0-5").await;
        api.ask("PATCH", &location, &[("content-range", "6-10")], "other").await
    };
    let (stalled, newer) = tokio::join!(stalled, newer);
    stalled.expect_error(409, "BLOB_UPLOAD_INVALID");
    newer.expect(202);
    let digest = content::digest(b"first other");
    api.ask("PUT", &format!("{location}?digest={digest}"), &[], "").await.expect(201);
}

async fn wait_for(condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited too long");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_can_be_cancelled() {
    let api = Api::new();
    let location = api.start("a").await;
    api.ask("PATCH", &location, &[], "x").await.expect(202);
    api.delete(&location).await.expect(204);
    for method in ["GET", "PATCH", "DELETE"] {
        api.ask(method, &location, &[], "").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    let digest = content::digest(b"x");
    api.ask("PUT", &format!("{location}?digest={digest}"), &[], "")
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository_and_its_id_cannot_be_guessed() {
    let api = Api::new();
    let location = api.start("a").await;
    let id = location.rsplit('/').next().unwrap();
    assert_eq!(id.len(), 32);
    assert_ne!(api.start("a").await, location);
    let guesses = [
        "0".repeat(32),
        id.to_uppercase(),
        id[1..].to_owned(),
        "..".into(),
        "%2e%2e".into(),
        format!("..%2f{id}"),
    ];
    for guess in guesses
        .iter()
        .map(|guess| format!("/v2/a/blobs/uploads/{guess}"))
        .chain([format!("/v2/b/blobs/uploads/{id}")])
    {
        api.ask("PATCH", &guess, &[], "x").await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        api.get(&guess).await.expect(404);
    }
    assert_eq!(api.get(&location).await.expect(204).header("range"), "0-0");
}

#[tokio::test]
async fn the_start_of_an_upload_looks_at_no_other() {
    let api = Api::with(ServerOptions { upload_expiry: Duration::ZERO, ..Default::default() });
    let location = api.start("a").await;
    let old = std::fs::File::options()
        .append(true)
        .open(
            api.layout.root().join(
                format!("repositories/{}", &location["/v2/".len()..])
                    .replace("/blobs/uploads/", "/_uploads/"),
            ),
        )
        .unwrap();
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    api.start("a").await;
    api.get(&location).await.expect(204);
}

#[tokio::test]
async fn a_broken_upload_without_a_session_leaves_nothing() {
    let api = Api::new();
    let path = format!("/v2/a/blobs/uploads/?digest={}", content::digest(b"x"));
    let broken = stream::iter([Ok(Bytes::from("x")), Err(std::io::Error::other("gone"))]);
    api.ask("POST", &path, &[], Body::from_stream(broken)).await.expect(400);
    let uploads = api.layout.root().join("repositories/a/_uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
}
