//! The client against the embedded registry, and against servers that mean harm.

mod auth;
mod copy;
mod credentials;
mod distribution;
mod hostile;
mod parallel;
mod push_pull;
mod quirks;
mod referrers;
mod resume;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::middleware::{self, Next};
use kit_registry::server::{self, ServerOptions};
use kit_registry::{Client, ClientOptions, Credential, Event, Layout, Reference};
use tempfile::TempDir;

/// Serves a router on a port of the system's choice.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Options of a client that loses no time.
pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        backoff: Duration::from_millis(1),
        retries: 3,
        stall_timeout: Duration::from_secs(5),
        ..ClientOptions::default()
    }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

fn client_with(registry: impl ToString, credential: Credential) -> Client {
    let credentials = Arc::new(BTreeMap::from([(registry.to_string(), credential)]));
    Client::new(ClientOptions { credentials, ..options() }).unwrap()
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic { username: username.into(), password: password.into() }
}

pub(crate) fn reference(registry: impl ToString, rest: &str) -> Reference {
    format!("{}/{rest}", registry.to_string()).parse().unwrap()
}

/// Hears no events.
pub(crate) fn deaf(_: Event) {}

/// A request that a server saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    /// What was answered; none while it is being answered, or when its client went away before.
    pub(crate) status: Option<u16>,
}

/// The requests that a server saw, in their order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    /// Writes down whatever comes to a router.
    pub(crate) fn of(&self, router: Router) -> Router {
        let log = self.clone();
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let (method, uri) = (request.method().clone(), request.uri().to_string());
            let number = {
                let mut seen = log.0.lock().unwrap();
                seen.push(Seen { method, uri, headers: request.headers().clone(), status: None });
                seen.len() - 1
            };
            let (log, answering) = (log.clone(), next.run(request));
            async move {
                let response = answering.await;
                log.0.lock().unwrap()[number].status = Some(response.status().as_u16());
                response
            }
        }))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    /// How many requests have this method and this text in their address.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.method == method && seen.uri.contains(part)).count()
    }

    pub(crate) fn has_authorization(&self) -> bool {
        self.seen().iter().any(|seen| seen.headers.contains_key("authorization"))
    }
}

/// An embedded registry with an empty layout.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    log: Log,
    dir: TempDir,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        Self::start_with(|router| router).await
    }

    /// Starts one behind something else.
    pub(crate) async fn start_with(wrap: impl FnOnce(Router) -> Router) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), wrap).await
    }

    /// Starts one with its layout in this folder.
    pub(crate) async fn start_in(dir: TempDir, wrap: impl FnOnce(Router) -> Router) -> Self {
        let router =
            server::Registry::new(Layout::init(dir.path()).unwrap(), ServerOptions::default())
                .router();
        let log = Log::default();
        let address = serve(log.of(wrap(router))).await;
        Self { address, log, dir }
    }

    /// The folder of its layout.
    pub(crate) fn root(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn reference(&self, rest: &str) -> Reference {
        reference(self.address, rest)
    }
}
