//! Registries that are known not to do all that the specification says. Each is played by a server
//! that behaves like it, behind a proxy: so the client speaks to the real name.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit_registry::{Client, ClientOptions, Event, Proxy, push};

use super::{Log, deaf, options, reference, serve};
use crate::layout::{new_layout, put_image};

const MIB: usize = 1024 * 1024;

/// How a played registry takes blobs.
#[derive(Clone, Copy)]
struct Play {
    /// The most bytes of a PATCH; more is 416.
    max_patch: usize,
    /// Whether a session can be asked, and goes on.
    has_sessions: bool,
    /// The status that answers a PATCH.
    patched: StatusCode,
    /// The most bytes of a PUT; more is 413.
    max_put: usize,
    /// What it says the fewest bytes of a chunk are.
    min_chunk: Option<usize>,
    /// How many bytes of the first PUT arrive before it fails.
    first_put: Option<usize>,
}

const PLAIN: Play = Play {
    max_patch: usize::MAX,
    has_sessions: true,
    patched: StatusCode::ACCEPTED,
    max_put: usize::MAX,
    min_chunk: None,
    first_put: None,
};

#[derive(Default)]
struct State {
    kept: Vec<u8>,
    blobs: Vec<Vec<u8>>,
    has_failed: bool,
}

async fn play(play: Play) -> (SocketAddr, Arc<Mutex<State>>, Log) {
    let state = Arc::new(Mutex::new(State::default()));
    let shared = state.clone();
    let router = Router::new().fallback(async move |request: Request| -> Response {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        answer(play, &mut shared.lock().unwrap(), &head, &body)
    });
    let log = Log::default();
    (serve(log.of(router)).await, state, log)
}

fn answer(
    play: Play,
    state: &mut State,
    head: &axum::http::request::Parts,
    body: &[u8],
) -> Response {
    let session = [("location", "/v2/demo/kit/blobs/uploads/session")];
    let range = [("range", format!("0-{}", state.kept.len().saturating_sub(1)))];
    let is_upload = head.uri.path().contains("/uploads/");
    match head.method.as_str() {
        "POST" => {
            state.kept.clear();
            let least = play.min_chunk.map(|least| [("oci-chunk-min-length", least.to_string())]);
            (StatusCode::ACCEPTED, session, least.map(axum::response::AppendHeaders), Body::empty())
                .into_response()
        }
        "PUT" if !is_upload => StatusCode::CREATED.into_response(),
        "PUT" if body.len() > play.max_put => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        "PUT" if play.first_put.is_some() && !state.has_failed && body.len() > 1000 => {
            state.has_failed = true;
            state.kept.extend_from_slice(&body[..play.first_put.unwrap()]);
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response()
        }
        "PUT" => {
            state.kept.extend_from_slice(body);
            let blob = std::mem::take(&mut state.kept);
            state.blobs.push(blob);
            StatusCode::CREATED.into_response()
        }
        "GET" if is_upload && play.has_sessions => {
            (StatusCode::NO_CONTENT, session, range).into_response()
        }
        "PATCH" if body.len() > play.max_patch || !play.has_sessions => {
            StatusCode::RANGE_NOT_SATISFIABLE.into_response()
        }
        "PATCH" => {
            state.kept.extend_from_slice(body);
            let range = [("range", format!("0-{}", state.kept.len() - 1))];
            (play.patched, session, range).into_response()
        }
        "DELETE" => StatusCode::NO_CONTENT.into_response(),
        // Only the layer is missing: the configuration has two bytes.
        "HEAD" if head.uri.path().contains("44136fa3") => [("content-length", "2")].into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Pushes a blob of so many bytes to a registry of this name; returns the sizes of its PATCHes.
async fn push_to(name: &str, play_of: Play, size: usize) -> Vec<usize> {
    let (proxy, state, log) = play(play_of).await;
    let options = ClientOptions {
        plain_http: Some(true),
        proxy: Proxy::Url(format!("http://{proxy}")),
        ..options()
    };
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(size)]);
    push(&layout, &image, &reference(name, "demo/kit:v1"), &Client::new(options).unwrap(), &deaf)
        .await
        .unwrap();
    let state = state.lock().unwrap();
    assert!(
        state.blobs.iter().any(|blob| blob.len() == size && blob.iter().all(|byte| *byte == b'x')),
        "{name}"
    );
    assert_eq!(state.blobs.len(), 1, "{name}");
    let patches = log.seen().into_iter().filter(|seen| seen.method == "PATCH");
    patches.map(|seen| seen.headers["content-length"].to_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn github_gets_no_patch_of_more_than_four_mebibytes() {
    let play = Play { max_patch: 4 * MIB, first_put: Some(MIB), ..PLAIN };
    assert_eq!(push_to("ghcr.io", play, 10 * MIB).await, [4 * MIB, 4 * MIB, MIB]);
}

#[tokio::test]
async fn google_gets_a_blob_whole_or_anew() {
    let play = Play { has_sessions: false, first_put: Some(MIB), ..PLAIN };
    assert_eq!(push_to("europe-west1-docker.pkg.dev", play, 2 * MIB).await, [0; 0]);
}

#[tokio::test]
async fn amazon_answers_a_patch_with_201_and_gets_no_small_parts() {
    let play = Play { patched: StatusCode::CREATED, max_put: MIB, ..PLAIN };
    let patches = push_to("1234.dkr.ecr.eu-central-1.amazonaws.com", play, 7 * MIB).await;
    assert_eq!(patches, [7 * MIB]);
}

#[tokio::test]
async fn a_registry_that_takes_nothing_large_gets_chunks() {
    // A proxy before a registry often allows one megabyte for a request: 413 whatever the method.
    let play = Play { max_put: MIB, ..PLAIN };
    assert_eq!(push_to("r.test", play, 3 * MIB).await, [3 * MIB]);
    let play = Play { max_put: MIB, min_chunk: Some(100 * MIB), ..PLAIN };
    assert_eq!(push_to("r.test", play, 3 * MIB).await, [3 * MIB]);
}

#[tokio::test]
async fn an_upload_goes_on_in_the_next_process() {
    let (address, state, log) = play(Play { first_put: Some(MIB), ..PLAIN }).await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(3 * MIB)]);
    let to = reference(address, "demo/kit:v1");
    // The first client gives up at once; a second knows where it was.
    let hasty = Client::new(ClientOptions { retries: 0, ..options() }).unwrap();
    push(&layout, &image, &to, &hasty, &deaf).await.unwrap_err();
    assert_eq!(state.lock().unwrap().kept.len(), MIB);
    let note = std::fs::read_dir(layout.root().join("ingest")).unwrap().next().unwrap().unwrap();
    assert!(note.file_name().to_string_lossy().ends_with(".upload"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&note.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "a session's address may be a secret");
    let told = Mutex::new(Vec::new());
    let on = |event| {
        if let Event::BlobProgress { bytes, .. } = event {
            told.lock().unwrap().push(bytes);
        }
    };
    push(&layout, &image, &to, &super::client(), &on).await.unwrap();
    assert_eq!(told.lock().unwrap().first(), Some(&(MIB as u64)), "first what was there");
    let patches: Vec<_> = log.seen().into_iter().filter(|seen| seen.method == "PATCH").collect();
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].headers["content-range"], format!("{}-{}", MIB, 3 * MIB - 1));
    assert_eq!(std::fs::read_dir(layout.root().join("ingest")).unwrap().count(), 0);
}
