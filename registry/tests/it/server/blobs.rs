//! Every way to push a blob, and to read it again.

use kit_registry::content;
use kit_registry::server::ServerOptions;

use super::{ALGORITHMS, Api, digest_by};

const CONTENT: &[u8] = b"some content that is pushed in pieces";

#[tokio::test]
async fn the_base_says_that_this_is_a_registry() {
    let api = Api::new();
    for path in ["/v2/", "/v2"] {
        assert_eq!(
            api.get(path).await.expect(200).header("docker-distribution-api-version"),
            "registry/2.0"
        );
    }
    api.ask("POST", "/v2/", &[], "").await.expect_error(405, "UNSUPPORTED");
    api.get("/v2/a/nothing").await.expect_error(404, "UNSUPPORTED");
}

#[tokio::test]
async fn a_blob_can_be_pushed_in_every_way() {
    for algorithm in ALGORITHMS {
        for content in [CONTENT, b"", b"{}"] {
            let digest = digest_by(&algorithm, content).to_string();
            for way in ["post", "post+put", "chunk", "chunks", "chunks+put", "stream"] {
                let api = Api::new();
                let blob = format!("/v2/a/b/blobs/{digest}");
                api.get(&blob).await.expect_error(404, "BLOB_UNKNOWN");
                api.head(&blob).await.expect(404);
                let location = push(&api, way, content, &digest).await;
                assert_eq!(location, blob, "{way}");
                let head = api.head(&blob).await.expect(200);
                assert_eq!(head.header("content-length"), content.len().to_string());
                let answer = api.get(&blob).await.expect(200);
                assert_eq!(answer.body, content);
                assert_eq!(answer.header("docker-content-digest"), digest);
                api.delete(&blob).await.expect(202);
                api.get(&blob).await.expect(404);
                api.delete(&blob).await.expect_error(404, "BLOB_UNKNOWN");
            }
        }
    }
}

/// Pushes content to `a/b` in one of the specification's ways; returns where it is then.
async fn push(api: &Api, way: &str, content: &[u8], digest: &str) -> String {
    let whole = format!("/v2/a/b/blobs/uploads/?digest={digest}");
    if way == "post" {
        return api
            .ask("POST", &whole, &[], content.to_vec())
            .await
            .expect(201)
            .header("location")
            .to_owned();
    }
    let location = api.start("a/b").await;
    let (start, end) = content.split_at(content.len() / 2);
    let last = match way {
        "post+put" => content,
        "chunks+put" => end,
        _ => b"",
    };
    let pieces: &[&[u8]] = match way {
        "post+put" => &[],
        "chunk" | "stream" => &[content],
        "chunks" => &[start, end],
        "chunks+put" => &[start],
        other => panic!("{other}"),
    };
    let mut sent = 0;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let range = format!("{sent}-{}", sent + piece.len() - 1);
        let headers: &[_] =
            if way == "stream" { &[] } else { &[("content-range", range.as_str())] };
        let answer = api.ask("PATCH", &location, headers, piece.to_vec()).await.expect(202);
        sent += piece.len();
        assert_eq!(answer.header("range"), format!("0-{}", sent - 1));
        assert_eq!(answer.header("location"), location);
        let status = api.get(&location).await.expect(204);
        assert_eq!(status.header("range"), format!("0-{}", sent - 1));
    }
    let answer = api
        .ask("PUT", &format!("{location}?digest={digest}"), &[], last.to_vec())
        .await
        .expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest);
    api.get(&location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    answer.header("location").to_owned()
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let api = Api::new();
    let location = api.start("a").await;
    let patch = async |range: &str, content: &'static str| {
        api.ask("PATCH", &location, &[("content-range", range)], content).await
    };
    patch("0-3", "abcd").await.expect(202);
    for range in ["0-3", "5-8", "3-6"] {
        let answer = patch(range, "efgh").await.expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(answer.header("range"), "0-3");
        assert_eq!(answer.header("location"), location);
    }
    patch("bytes 4-7", "efgh").await.expect(400);
    for content in ["efg", "efghi"] {
        patch("4-7", content).await.expect_error(400, "SIZE_INVALID");
        assert_eq!(
            api.get(&location).await.expect(204).header("range"),
            "0-3",
            "nothing of it stays"
        );
    }
    patch("4-7", "efgh").await.expect(202);
    let digest = content::digest(b"abcdefghij");
    let put = format!("{location}?digest={digest}");
    api.ask("PUT", &put, &[("content-range", "4-5")], "ij").await.expect(416);
    api.ask("PUT", &put, &[("content-range", "8-9")], "ij").await.expect(201);
    assert_eq!(api.get(&format!("/v2/a/blobs/{digest}")).await.expect(200).body, b"abcdefghij");
}

#[tokio::test]
async fn content_of_another_digest_is_refused() {
    let api = Api::new();
    let right = content::digest(CONTENT);
    for algorithm in ALGORITHMS {
        let wrong = digest_by(&algorithm, b"other content");
        for way in ["POST", "PUT", "PATCH"] {
            let answer = match way {
                "POST" => {
                    api.ask("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], CONTENT)
                        .await
                }
                _ => {
                    let location = api.start("a").await;
                    let (patch, put) = if way == "PUT" { ("", CONTENT) } else { ("x", CONTENT) };
                    api.ask("PATCH", &location, &[], patch).await.expect(202);
                    api.ask("PUT", &format!("{location}?digest={wrong}"), &[], put).await
                }
            };
            answer.expect_error(400, "DIGEST_INVALID");
        }
        api.get(&format!("/v2/a/blobs/{wrong}")).await.expect(404);
    }
    api.get(&format!("/v2/a/blobs/{right}")).await.expect(404);
    for bad in ["sha256:00", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:../../x", "x", ""] {
        api.ask("POST", &format!("/v2/a/blobs/uploads/?digest={bad}"), &[], CONTENT)
            .await
            .expect_error(400, "DIGEST_INVALID");
        let location = api.start("a").await;
        api.ask("PUT", &format!("{location}?digest={bad}"), &[], CONTENT)
            .await
            .expect_error(400, "DIGEST_INVALID");
        api.ask("PUT", &location, &[], CONTENT).await.expect_error(400, "DIGEST_INVALID");
        api.get(&location).await.expect(204);
    }
}

#[tokio::test]
async fn a_range_of_a_blob_is_sent_clamped_or_refused() {
    let api = Api::new();
    let content: Vec<u8> = (0..3000u32).map(|n| (n % 251) as u8).collect();
    let path = format!("/v2/a/blobs/{}", api.push_blob("a", &content).await.digest());
    for (range, start, end) in [
        ("500-1499", 500, 1500),
        ("500-", 500, 3000),
        ("-500", 2500, 3000),
        ("2000-5000", 2000, 3000),
    ] {
        let answer =
            api.ask("GET", &path, &[("range", &format!("bytes={range}"))], "").await.expect(206);
        assert_eq!(answer.body, content[start..end], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/3000", end - 1));
        assert_eq!(answer.header("content-length"), (end - start).to_string());
    }
    for range in ["500-0", "5000-10000"] {
        let answer =
            api.ask("GET", &path, &[("range", &format!("bytes={range}"))], "").await.expect(416);
        assert_eq!(answer.header("content-range"), "bytes */3000");
    }
    let whole = api.get(&path).await.expect(200);
    let etag = whole.header("etag").to_owned();
    let range = ("range", "bytes=0-9");
    api.ask("GET", &path, &[range, ("if-range", &etag)], "").await.expect(206);
    assert_eq!(
        api.ask("GET", &path, &[range, ("if-range", "\"other\"")], "").await.expect(200).body,
        content
    );
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_that_has_it() {
    let api = Api::new();
    let digest = api.push_blob("from", CONTENT).await.digest().to_string();
    let uploaded = api.metric("kit_rs_registry_uploaded_bytes_total").await;
    let mount = |query: String| format!("/v2/to/blobs/uploads/?mount={query}");

    let missing = content::digest(b"missing");
    for query in [format!("{missing}&from=from"), format!("{digest}&from=other"), digest.clone()] {
        let answer = api.ask("POST", &mount(query), &[], "").await.expect(202);
        assert!(answer.header("location").starts_with("/v2/to/blobs/uploads/"), "a session begins");
        api.get(&format!("/v2/to/blobs/{digest}")).await.expect(404);
    }
    let answer = api.ask("POST", &mount(format!("{digest}&from=from")), &[], "").await.expect(201);
    assert_eq!(answer.header("location"), format!("/v2/to/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(api.get(&format!("/v2/to/blobs/{digest}")).await.expect(200).body, CONTENT);
    assert_eq!(api.metric("kit_rs_registry_mounts_total").await, 1);
    assert_eq!(api.metric("kit_rs_registry_uploaded_bytes_total").await, uploaded);
    for bad in [
        "sha256:00&from=from".to_owned(),
        format!("{digest}&from=../from"),
        format!("{digest}&from=_x"),
    ] {
        api.ask("POST", &mount(bad), &[], "").await.expect(400);
    }

    // Each has its own: what one gives up the other keeps.
    api.delete(&format!("/v2/from/blobs/{digest}")).await.expect(202);
    api.get(&format!("/v2/from/blobs/{digest}")).await.expect(404);
    api.get(&format!("/v2/to/blobs/{digest}")).await.expect(200);
}

#[tokio::test]
async fn a_mount_without_a_source_is_possible_where_it_is_allowed() {
    let api = Api::with(ServerOptions { anonymous_mount: true, ..Default::default() });
    let digest = api.push_blob("deep/in/a/repository", CONTENT).await.digest().to_string();
    let path = format!("/v2/to/blobs/uploads/?mount={digest}");
    api.ask("POST", &path, &[], "").await.expect(201);
    api.get(&format!("/v2/to/blobs/{digest}")).await.expect(200);

    // Content of the layout that no repository was given is nobody's to mount.
    let local = api.layout.put("text/plain", b"local").unwrap();
    api.ask("POST", &format!("/v2/to/blobs/uploads/?mount={}", local.digest()), &[], "")
        .await
        .expect(202);
}
