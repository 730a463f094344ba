//! A proxy that harms what goes through it: between a client and a registry, on the level of HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};

use crate::client::serve;

/// What happens to a request or to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The answer breaks off in its middle.
    Cut,
    /// The answer stops in its middle, and the connection stays.
    Stall,
    /// The answer is shorter, and says so.
    Truncate,
    /// One byte of the answer is another.
    Corrupt,
    /// A piece of the answer comes twice, and its end is missing for that.
    Repeat,
    /// The answer never begins.
    Silence,
    /// Another status, and nothing is done.
    Status(u16),
    /// Ranges are not heard: the whole comes, with 200.
    WholeForPart,
    /// A part comes as if it were the whole, with 200.
    PartAsWhole,
    /// Another part comes than was asked for.
    OtherPart,
    /// The client is sent to the registry itself.
    Redirect,
    /// The client is sent round and round.
    RedirectLoop,
    /// The registry gets half of the request.
    HalfRequest,
    /// One byte of the request is another.
    CorruptRequest,
    /// The registry gets the request twice.
    RepeatRequest,
    /// The registry does what it should, and the client hears of a failure.
    LoseAnswer,
}

/// Which requests are harmed, and how often.
#[derive(Clone, Copy)]
pub(super) struct Harm {
    pub(super) fault: Fault,
    /// The method and a part of the path.
    pub(super) of: (&'static str, &'static str),
    /// How many of them, from the first on.
    pub(super) times: usize,
}

/// Stands before a registry.
pub(super) async fn stand_before(registry: SocketAddr, harm: Harm) -> SocketAddr {
    let http = upstream::client();
    let n_seen = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback(move |request: Request| {
        let (http, n_seen) = (http.clone(), n_seen.clone());
        async move {
            let is_meant = request.method() == harm.of.0
                && request.uri().path().contains(harm.of.1)
                && has_content(&request);
            let n = if is_meant { n_seen.fetch_add(1, Ordering::Relaxed) } else { usize::MAX };
            let fault = (n < harm.times).then_some(harm.fault);
            pass(&http, registry, request, fault).await
        }
    });
    serve(router).await
}

/// Small blobs are let through: the faults are for the big one, whose digest every test knows to be
/// in the path.
fn has_content(request: &Request) -> bool {
    !request.uri().path().contains(&super::EMPTY[..20])
}

async fn pass(
    http: &upstream::Client,
    registry: SocketAddr,
    request: Request,
    fault: Option<Fault>,
) -> Response {
    let (mut head, body) = request.into_parts();
    let Ok(mut body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    match fault {
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap();
            return (status, [("retry-after", "0")], r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#)
                .into_response();
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Redirect) => {
            let target = format!("http://{registry}{}", head.uri);
            return (StatusCode::TEMPORARY_REDIRECT, [("location", target)]).into_response();
        }
        Some(Fault::RedirectLoop) => {
            return (StatusCode::TEMPORARY_REDIRECT, [("location", head.uri.to_string())])
                .into_response();
        }
        Some(Fault::WholeForPart) => drop(head.headers.remove(header::RANGE)),
        Some(Fault::OtherPart) if head.headers.contains_key(header::RANGE) => {
            head.headers.insert(header::RANGE, "bytes=5-1000000".parse().unwrap());
        }
        Some(Fault::CorruptRequest) => body = corrupt(&body),
        Some(Fault::HalfRequest) => {
            let half = body.slice(..body.len() / 2);
            http.send(registry, &head.method, &head.uri.to_string(), &head.headers, half, true)
                .await;
            return StatusCode::BAD_GATEWAY.into_response();
        }
        Some(Fault::RepeatRequest) => {
            http.send(
                registry,
                &head.method,
                &head.uri.to_string(),
                &head.headers,
                body.clone(),
                false,
            )
            .await;
        }
        _ => {}
    }
    let answer =
        http.send(registry, &head.method, &head.uri.to_string(), &head.headers, body, false).await;
    let Some((status, headers, bytes)) = answer else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if fault == Some(Fault::LoseAnswer) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    harmed(status, headers, bytes, fault, head.method == Method::HEAD)
}

fn corrupt(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.get_mut(1_500_000) {
        *byte ^= 1;
    }
    bytes.into()
}

fn harmed(
    mut status: StatusCode,
    mut headers: HeaderMap,
    bytes: Bytes,
    fault: Option<Fault>,
    is_head: bool,
) -> Response {
    let half = bytes.len() / 2;
    let failure = || Err(std::io::Error::other("cut"));
    let body = match fault {
        Some(Fault::Cut) => Body::from_stream(stream::iter([Ok(bytes.slice(..half)), failure()])),
        Some(Fault::Stall) => {
            let first = stream::iter([Ok::<_, std::io::Error>(bytes.slice(..half))]);
            Body::from_stream(first.chain(stream::pending()))
        }
        Some(Fault::Truncate) => {
            headers.insert(header::CONTENT_LENGTH, half.into());
            Body::from(bytes.slice(..half))
        }
        Some(Fault::Corrupt) => Body::from(corrupt(&bytes)),
        Some(Fault::Repeat) => {
            let pieces = [bytes.slice(..half), bytes.slice(..half), bytes.slice(2 * half..)];
            Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)))
        }
        Some(Fault::PartAsWhole) => {
            status = StatusCode::OK;
            headers.remove(header::CONTENT_RANGE);
            Body::from(bytes)
        }
        _ => Body::from(bytes),
    };
    let body = if is_head { Body::empty() } else { body };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    headers.remove(header::CONNECTION);
    *response.headers_mut() = headers;
    response
}

/// The proxy's own client: plain HTTP/1.1 by hyper.
mod upstream {
    use std::net::SocketAddr;

    use axum::body::{Body, Bytes};
    use axum::http::{HeaderMap, Method, Request, StatusCode};
    use futures_util::stream;
    use http_body_util::BodyExt;
    use hyper_util::client::legacy;
    use hyper_util::rt::TokioExecutor;

    #[derive(Clone)]
    pub(super) struct Client(legacy::Client<legacy::connect::HttpConnector, Body>);

    pub(super) fn client() -> Client {
        Client(legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http())
    }

    impl Client {
        /// Sends a request on, or only this much of its body and then breaks off.
        pub(super) async fn send(
            &self,
            registry: SocketAddr,
            method: &Method,
            path: &str,
            headers: &HeaderMap,
            body: Bytes,
            breaks_off: bool,
        ) -> Option<(StatusCode, HeaderMap, Bytes)> {
            let body = match breaks_off {
                true => {
                    Body::from_stream(stream::iter([Ok(body), Err(std::io::Error::other("cut"))]))
                }
                false => Body::from(body),
            };
            let mut request =
                Request::builder().method(method).uri(format!("http://{registry}{path}"));
            for (name, value) in
                headers.iter().filter(|(name, _)| *name != "host" && *name != "connection")
            {
                request = request.header(name, value);
            }
            let (head, body) = self.0.request(request.body(body).unwrap()).await.ok()?.into_parts();
            Some((head.status, head.headers, body.collect().await.ok()?.to_bytes()))
        }
    }
}
