//! What registries are shown who ask, and what they are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kit_registry::{AuthError, Client, ClientOptions, Credential, Error, HttpError, pull, push};
use serde_json::json;

use super::{Log, Registry, basic, client, client_with, deaf, options, reference, serve};
use crate::layout::{new_layout, put_image};

/// Lets nobody through without this header, and asks with that challenge.
fn guarded(router: Router, authorization: String, challenge: String) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let shown =
            request.headers().get("authorization").map(|shown| shown.to_str().unwrap().to_owned());
        let (authorization, challenge) = (authorization.clone(), challenge.clone());
        async move {
            match shown {
                Some(shown) if shown == authorization => next.run(request).await,
                _ => (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response(),
            }
        }
    }))
}

fn basic_header(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

async fn basic_registry() -> Registry {
    let challenge = r#"Basic realm="registry""#.to_owned();
    Registry::start_with(|router| guarded(router, basic_header("user", "secret"), challenge)).await
}

#[tokio::test]
async fn basic_credentials_are_shown_when_asked_for() {
    let registry = basic_registry().await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    let client = client_with(registry.address, basic("user", "secret"));
    client.ping(&registry.address.to_string()).await.unwrap();
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client, &deaf).await.unwrap();
    // Asked once for the registry, and once for the repository by each of the two blobs that go at
    // the same time; not again.
    let unasked = registry
        .log
        .seen()
        .iter()
        .filter(|seen| !seen.headers.contains_key("authorization"))
        .count();
    assert!(unasked <= 3, "{unasked}");
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_told_apart() {
    let registry = basic_registry().await;
    let host = registry.address.to_string();
    let denied = client_with(&host, basic("user", "wrong")).ping(&host).await;
    assert!(matches!(denied, Err(Error::Auth(AuthError::Denied { .. }))), "{denied:?}");
    let missing = client().ping(&host).await;
    assert!(matches!(missing, Err(Error::Auth(AuthError::NotLoggedIn { .. }))), "{missing:?}");
    let unusable = client_with(&host, Credential::Identity("token".into())).ping(&host).await;
    assert!(
        matches!(unusable, Err(Error::Auth(AuthError::UnusableCredential { .. }))),
        "{unusable:?}"
    );
}

/// A token service that gives one token, valid for so many seconds.
async fn token_service(expires_in: u64) -> (std::net::SocketAddr, Log) {
    let answer = move |uri: Uri, headers: HeaderMap, body: String| async move {
        let is_user =
            headers.get("authorization").is_some_and(|it| *it == *basic_header("user", "secret"));
        let is_refresh =
            body.contains("grant_type=refresh_token") && body.contains("refresh_token=identity");
        let is_anonymous = !headers.contains_key("authorization") && uri.path() == "/anonymous";
        match is_user || is_refresh || is_anonymous {
            true => Json(json!({ "token": "the-token", "expires_in": expires_in })).into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        }
    };
    let log = Log::default();
    let router =
        Router::new().route("/token", get(answer).post(answer)).route("/anonymous", get(answer));
    (serve(log.of(router)).await, log)
}

async fn bearer_registry(realm: &str) -> Registry {
    let challenge =
        format!(r#"Bearer realm="{realm}",service="the service",scope="repository:demo/kit:pull""#);
    Registry::start_with(|router| guarded(router, "Bearer the-token".into(), challenge)).await
}

#[tokio::test]
async fn a_token_is_fetched_once_for_each_scope() {
    let (service, tokens) = token_service(300).await;
    let registry = bearer_registry(&format!("http://{service}/token")).await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one", "two", "three"]);
    let client = client_with(registry.address, basic("user", "secret"));
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client, &deaf).await.unwrap();
    assert_eq!(tokens.seen().len(), 1);
    let asked = &tokens.seen()[0].uri;
    let expected = "service=the+service&scope=repository%3Ademo%2Fkit%3Apull%2Cpush&scope=repository%3Ademo%2Fkit%3Apull";
    assert!(asked.ends_with(expected), "{asked}");
    pull(&client, &registry.reference("demo/kit:v1"), &layout, &deaf).await.unwrap();
    assert_eq!(tokens.seen().len(), 2);
}

/// A token service that heeds the last scope only: its token is none for the repository that a blob
/// is to be mounted from.
#[tokio::test]
async fn a_mount_that_the_token_does_not_allow_gives_way_to_an_upload() {
    let (service, _) = token_service(300).await;
    let challenge = format!(r#"Bearer realm="http://{service}/token",service="s""#);
    let refused = challenge.clone();
    let registry = Registry::start_with(|router| {
        let router = router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let refused = refused.clone();
            async move {
                match request.uri().to_string().contains("mount=") {
                    true => {
                        (StatusCode::UNAUTHORIZED, [("www-authenticate", refused)]).into_response()
                    }
                    false => next.run(request).await,
                }
            }
        }));
        guarded(router, "Bearer the-token".into(), challenge)
    })
    .await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one", "two"]);
    let client = client_with(registry.address, basic("user", "secret"));
    let first = registry.reference("demo/kit:v1");
    layout.tag(&image, &first).unwrap();
    push(&layout, &image, &first, &client, &deaf).await.unwrap();
    let to = registry.reference("demo/copy:v1");
    let pushed = push(&layout, &image, &to, &client, &deaf).await.unwrap();
    assert_eq!((pushed.uploaded, pushed.mounted), (3, 0));
    assert!(registry.log.count("POST", "mount=") >= 3);
    let (_to, other) = new_layout();
    pull(&client, &to, &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_token_that_has_ended_is_fetched_anew() {
    let (service, tokens) = token_service(0).await;
    let registry = bearer_registry(&format!("http://{service}/token")).await;
    let client = client_with(registry.address, basic("user", "secret"));
    for _ in 0..3 {
        client.ping(&registry.address.to_string()).await.unwrap();
    }
    assert_eq!(tokens.seen().len(), 3);
}

#[tokio::test]
async fn identity_and_registry_tokens_are_taken() {
    let (service, tokens) = token_service(300).await;
    let registry = bearer_registry(&format!("http://{service}/token")).await;
    let host = registry.address.to_string();
    client_with(&host, Credential::Identity("identity".into())).ping(&host).await.unwrap();
    assert_eq!(tokens.count("POST", "/token"), 1);
    client_with(&host, Credential::Bearer("the-token".into())).ping(&host).await.unwrap();
    assert_eq!(tokens.seen().len(), 1);
    let wrong = client_with(&host, Credential::Bearer("another".into())).ping(&host).await;
    assert!(matches!(wrong, Err(Error::Auth(AuthError::Denied { .. }))), "{wrong:?}");
}

#[tokio::test]
async fn strangers_get_a_token_without_credentials() {
    let (service, tokens) = token_service(300).await;
    let registry = bearer_registry(&format!("http://{service}/anonymous")).await;
    client().ping(&registry.address.to_string()).await.unwrap();
    assert!(!tokens.has_authorization());
    let registry = bearer_registry(&format!("http://{service}/token")).await;
    let refused = client().ping(&registry.address.to_string()).await;
    assert!(matches!(refused, Err(Error::Auth(AuthError::NotLoggedIn { .. }))), "{refused:?}");
}

#[tokio::test]
async fn cve_2026_33990_a_foreign_token_service_sees_no_credentials() {
    let (service, tokens) = token_service(300).await;
    // The same machine by another name is another host.
    let registry = bearer_registry(&format!("http://localhost:{}/token", service.port())).await;
    let host = registry.address.to_string();
    let refused = client_with(&host, basic("user", "secret")).ping(&host).await;
    assert!(matches!(refused, Err(Error::Auth(AuthError::UntrustedRealm { .. }))), "{refused:?}");
    assert!(tokens.seen().is_empty());

    let credentials =
        Arc::new(std::collections::BTreeMap::from([(host.clone(), basic("user", "secret"))]));
    let token_hosts = [(host.clone(), vec!["localhost".to_owned()])].into();
    let client = Client::new(ClientOptions { credentials, token_hosts, ..options() }).unwrap();
    client.ping(&host).await.unwrap();
}

#[tokio::test]
async fn cve_2026_33990_a_token_service_is_not_followed_elsewhere() {
    let (elsewhere, log) = token_service(300).await;
    let target = format!("http://{elsewhere}/token");
    let redirect = Router::new()
        .fallback(async move || (StatusCode::TEMPORARY_REDIRECT, [("location", target)]));
    let service = serve(redirect).await;
    let registry = bearer_registry(&format!("http://{service}/token")).await;
    let host = registry.address.to_string();
    let refused = client_with(&host, basic("user", "secret")).ping(&host).await;
    assert!(matches!(refused, Err(Error::Auth(AuthError::Token { .. }))), "{refused:?}");
    assert!(log.seen().is_empty());
}

#[tokio::test]
async fn cve_2026_33990_metadata_services_are_not_asked_for_tokens() {
    let registry = bearer_registry("http://169.254.169.254/latest/meta-data").await;
    let refused = client().ping(&registry.address.to_string()).await;
    assert!(matches!(refused, Err(Error::Auth(AuthError::UntrustedRealm { .. }))), "{refused:?}");
}

#[tokio::test]
async fn cve_2019_10214_credentials_are_not_sent_in_the_clear() {
    // Other hosts than loopback are spoken to by TLS, whatever listens there, unless it is asked
    // for.
    let log = Log::default();
    let plain = serve(log.of(Router::new())).await;
    let host = format!("r.test:{}", plain.port());
    let credentials =
        Arc::new(std::collections::BTreeMap::from([(host.clone(), basic("user", "secret"))]));
    let proxy = kit_registry::Proxy::Url(format!("http://{plain}"));
    let client =
        Client::new(ClientOptions { credentials, proxy, retries: 0, ..options() }).unwrap();
    client.ping(&host).await.unwrap_err();
    assert!(
        log.seen().iter().all(|seen| seen.method == "CONNECT"),
        "only a tunnel for TLS is asked for"
    );
    assert!(!log.has_authorization());
}

#[tokio::test]
async fn a_registry_that_also_takes_passwords_need_not_send_them_elsewhere() {
    let challenge =
        r#"Bearer realm="https://elsewhere.test/token", Basic realm="registry""#.to_owned();
    let registry =
        Registry::start_with(|router| guarded(router, basic_header("user", "secret"), challenge))
            .await;
    let client = client_with(registry.address, basic("user", "secret"));
    client.ping(&registry.address.to_string()).await.unwrap();
}

/// Sends whoever asks for blobs to another server.
fn redirecting(router: Router, to: String) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let to = to.clone();
        async move {
            match request.method() == "GET" && request.uri().path().contains("/blobs/sha256:") {
                true => (
                    StatusCode::TEMPORARY_REDIRECT,
                    [("location", format!("{to}{}", request.uri()))],
                )
                    .into_response(),
                false => next.run(request).await,
            }
        }
    }))
}

#[tokio::test]
async fn cve_2020_15157_credentials_do_not_follow_a_redirect_to_another_port() {
    let store = Registry::start().await;
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &["one", "two"]);
    push(&layout, &image, &store.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let to = format!("http://{}", store.address);
    let registry = Registry::start_with(|router| {
        guarded(redirecting(router, to), basic_header("user", "secret"), "Basic realm=x".into())
    })
    .await;
    let client = client_with(registry.address, basic("user", "secret"));
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client, &deaf).await.unwrap();
    let before = store.log.seen().len();
    pull(&client, &registry.reference("demo/kit:v1"), &other, &deaf).await.unwrap();
    assert_eq!(store.log.seen().len() - before, 3);
    assert!(registry.log.has_authorization());
    assert!(!store.log.has_authorization());
}

#[tokio::test]
async fn oras_1152_credentials_do_not_follow_an_upload_to_another_port() {
    let taken = Router::new().fallback(async |_body: axum::body::Bytes| StatusCode::CREATED);
    let log = Log::default();
    let store = serve(log.of(taken)).await;
    let router = Router::new().fallback(async move |request: Request| -> Response {
        match request.method().as_str() {
            "POST" => (
                StatusCode::ACCEPTED,
                [("location", format!("http://{store}/put-here?signature=1"))],
            )
                .into_response(),
            "PUT" => StatusCode::CREATED.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    });
    let router = guarded(router, basic_header("user", "secret"), "Basic realm=x".into());
    let registry = serve(router).await;
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["one"]);
    let client = client_with(registry, basic("user", "secret"));
    let pushed =
        push(&layout, &image, &reference(registry, "demo/kit:v1"), &client, &deaf).await.unwrap();
    assert_eq!(pushed.uploaded, 2);
    assert_eq!(log.count("PUT", "/put-here?signature=1&digest=sha256%3A"), 2);
    assert!(!log.has_authorization());
}

#[tokio::test]
async fn ghsa_vh4v_2xq2_g5cg_credentials_do_not_follow_a_link_to_another_port() {
    let log = Log::default();
    let elsewhere = serve(log.of(Router::new())).await;
    let link = format!("<http://{elsewhere}/v2/demo/kit/tags/list>; rel=\"next\"");
    let page = async move || ([("link", link)], Json(json!({ "name": "demo/kit", "tags": ["a"] })));
    let router = Router::new().fallback(page);
    let registry =
        serve(guarded(router, basic_header("user", "secret"), "Basic realm=x".into())).await;
    let client = client_with(registry, basic("user", "secret"));
    let refused = client.tags(&reference(registry, "demo/kit")).await;
    assert!(matches!(refused, Err(Error::Http(HttpError::Protocol { .. }))), "{refused:?}");
    assert!(log.seen().is_empty());
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_when_it_says() {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = async |State(asked): State<Arc<AtomicUsize>>| -> Response {
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => "{}".into_response(),
        }
    };
    let address = serve(Router::new().fallback(answer).with_state(asked.clone())).await;
    let started = std::time::Instant::now();
    client().ping(&address.to_string()).await.unwrap();
    assert!(started.elapsed().as_millis() >= 1000, "{:?}", started.elapsed());
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn only_the_headers_that_are_needed_are_sent() {
    let registry = Registry::start().await;
    client().ping(&registry.address.to_string()).await.unwrap();
    let names: Vec<String> =
        registry.log.seen()[0].headers.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["accept", "accept-encoding", "user-agent", "host"]);
}
