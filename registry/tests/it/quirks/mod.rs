//! Registries and hubs that misbehave as real ones do: each quirk is a line of a table, and every
//! verb is tried on each of them. A verb comes to the right end, or is refused with the words of the
//! table; never to a wrong end, and never to a wait.
//!
//! A quirk stands between the client and the embedded server, which stays right.

mod hub;
mod registry;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;

/// A way to misbehave.
#[derive(Clone, Copy)]
struct Quirk {
    /// What is told when a test fails.
    name: &'static str,
    /// Which requests it is about.
    of: Of,
    /// How often, from the first such request on.
    times: usize,
    does: Does,
    /// What it does besides.
    also: Option<(Of, Does)>,
    /// Which verbs it keeps from their end, and a part of what they say then.
    refuses: &'static [(&'static str, &'static str)],
}

/// Which requests: a method, and what is true of them.
type Of = (&'static str, fn(&Request) -> bool);

/// What becomes of a request.
#[derive(Clone, Copy)]
enum Does {
    /// It is answered with this, and the server does not hear of it.
    Answers(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The server does what it should; its answer has another status.
    Says(u16),
    /// The server's answer has this header, or has it no more.
    Sets(&'static str, Option<&'static str>),
    /// A header of the server's answer says something else.
    Edits(&'static str, fn(&str) -> String),
    /// The server's answer has another body.
    Writes(fn(&str) -> String),
    /// The server hears another address.
    Hears(fn(&str) -> String),
    /// The server does not hear this header.
    Forgets(&'static str),
    /// The answer is coded as nobody has asked for.
    Gzips,
}

const ALWAYS: usize = usize::MAX;
const HTML: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
const PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>…</body></html>";

const fn quirk(name: &'static str, of: Of, does: Does) -> Quirk {
    Quirk { name, of, times: ALWAYS, does, also: None, refuses: &[] }
}

fn has(request: &Request, part: &str) -> bool {
    request.uri().to_string().contains(part)
}

impl Quirk {
    const fn once(self) -> Self {
        Self { times: 1, ..self }
    }

    const fn and(self, of: Of, does: Does) -> Self {
        Self { also: Some((of, does)), ..self }
    }

    const fn refuses(self, refuses: &'static [(&'static str, &'static str)]) -> Self {
        Self { refuses, ..self }
    }

    /// Puts the quirk before a server.
    fn before(self, router: Router) -> Router {
        let router = match self.also {
            Some((of, does)) => quirk(self.name, of, does).before_one(router),
            None => router,
        };
        self.before_one(router)
    }

    fn before_one(self, router: Router) -> Router {
        let n_seen = Arc::new(AtomicUsize::new(0));
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let is_meant = request.method() == self.of.0 && (self.of.1)(&request);
            let is_now = is_meant && n_seen.fetch_add(1, Ordering::Relaxed) < self.times;
            async move {
                match is_now {
                    true => self.does.answer(request, next).await,
                    false => next.run(request).await,
                }
            }
        }))
    }

    /// Checks how a verb ended.
    fn check(&self, verb: &str, outcome: Result<(), String>) {
        let expected = self.refuses.iter().find(|(refused, _)| *refused == verb);
        match (outcome, expected) {
            (Ok(()), None) => {}
            (Err(error), Some((_, words))) => {
                assert!(error.contains(words), "{}, {verb}: {error}", self.name);
            }
            (Ok(()), Some(_)) => panic!("{}, {verb}: it was to be refused", self.name),
            (Err(error), None) => panic!("{}, {verb}: {error}", self.name),
        }
    }
}

impl Does {
    async fn answer(self, mut request: Request, next: Next) -> Response {
        match self {
            Self::Answers(status, headers, body) => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in headers {
                    set(response.headers_mut(), name, value);
                }
                response
            }
            Self::Says(status) => {
                let mut response = next.run(request).await;
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response
            }
            Self::Sets(name, value) => {
                let mut response = next.run(request).await;
                response.headers_mut().remove(name);
                if let Some(value) = value {
                    set(response.headers_mut(), name, value);
                }
                response
            }
            Self::Edits(name, edit) => {
                let mut response = next.run(request).await;
                if let Some(value) = response.headers_mut().get_mut(name) {
                    *value = edit(value.to_str().unwrap()).parse().unwrap();
                }
                response
            }
            Self::Writes(edit) => {
                rewritten(next.run(request).await, |body| {
                    edit(&String::from_utf8_lossy(body)).into_bytes()
                })
                .await
            }
            Self::Hears(edit) => {
                *request.uri_mut() = edit(&request.uri().to_string()).parse().unwrap();
                next.run(request).await
            }
            Self::Forgets(name) => {
                request.headers_mut().remove(name);
                next.run(request).await
            }
            Self::Gzips => {
                let mut response = rewritten(next.run(request).await, gzip).await;
                set(response.headers_mut(), "content-encoding", "gzip");
                response
            }
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
}

async fn rewritten(response: Response, edit: impl FnOnce(&Bytes) -> Vec<u8>) -> Response {
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(edit(&body)))
}

fn gzip(bytes: &Bytes) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// All that an error says, with its causes.
fn chain(error: &kit_registry::Error) -> String {
    let causes =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
