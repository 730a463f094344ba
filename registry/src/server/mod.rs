//! The embedded registry: a layout served over HTTP, by an [`axum::Router`].
//!
//! It speaks the whole distribution-spec 1.1.1, with SHA-256 and SHA-512, of its 1.2 drafts the
//! cancelling of uploads and the `tag` parameter, and the catalog of repositories. Content lies once
//! in the layout but belongs to repositories: what a repository was not given it does not serve.
//! `GET /metrics` has counters for Prometheus, `GET /ui` pages for people. A file of users can guard
//! all of it; who of them may do what is for a layer around the router. What clients can make it
//! hold is bounded in `limits`.
//!
//! ```text
//! <root>/…                                                 the layout; a tag is the reference `<name>:<tag>`
//!        repositories/<name>/_blobs/<alg>/<hex>            the repository was given this blob
//!                            _manifests/<alg>/<hex>        … this manifest: its descriptor
//!                            _referrers/<alg>/<hex>/…      the manifests with this subject: their descriptors
//!                            _uploads/<id>                 an upload on its way: it survives a restart
//!                            _ready/<alg>/<hex>            the image that was made of this manifest of another repository
//! ```

mod blobs;
mod browser;
mod catalog;
mod checks;
mod connections;
mod failure;
mod htpasswd;
pub(crate) mod limits;
mod listing;
mod maintenance;
mod manifest_body;
mod manifests;
mod metrics;
pub(crate) mod range;
mod ready;
mod referrer;
mod referrers;
mod repository;
mod route;
mod run;
mod session;
mod tags;
mod ui;
mod uploads;
mod watched;

use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use self::failure::{Code, Failure};
pub use self::htpasswd::Htpasswd;
use self::htpasswd::Login;
use self::metrics::Metrics;
pub use self::ready::ReadyImages;
use self::repository::Repository;
use self::route::Route;
pub use self::run::{ListenOptions, run, tls};
use self::session::Sessions;
use crate::Layout;

/// What the registry allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Refuse whatever is not a GET or a HEAD.
    pub read_only: bool,
    /// Mount a blob whose source repository the client does not say from any repository that has it
    /// (distribution-spec, end-11). Whoever knows a digest can then read the blob.
    pub anonymous_mount: bool,
    /// How long an upload may lie untouched before it is thrown away.
    pub upload_expiry: Duration,
    /// How long a blob may wait for its manifest before garbage collection takes it away.
    pub garbage_grace: Duration,
    /// How long a request's body may stand still before it counts as broken.
    pub stall_timeout: Duration,
    /// The users who may come in; everybody without.
    pub users: Option<Arc<Htpasswd>>,
    /// Makes images that nobody has pushed, `<repository>/kit-rs:<tag>`; none: there are none.
    pub images: Option<Arc<dyn ReadyImages>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            anonymous_mount: false,
            upload_expiry: Duration::from_secs(24 * 60 * 60),
            garbage_grace: Duration::from_secs(60 * 60),
            stall_timeout: Duration::from_secs(60),
            users: None,
            images: None,
        }
    }
}

/// A registry over a layout: its [`router`](Self::router) answers, and it takes away what nobody
/// needs, while it goes on serving. One process at a time should serve a layout.
pub struct Registry {
    layout: Layout,
    options: ServerOptions,
    sessions: Sessions,
    metrics: Arc<Metrics>,
    /// Manifests, tags and their links change one at a time.
    changing: Mutex<()>,
    /// Images that nobody has pushed are made one at a time.
    making: Arc<Semaphore>,
    /// Of what none can be made.
    refused: ready::Refused,
    /// Shared by what gives content to repositories, held alone by garbage collection.
    tidying: RwLock<()>,
    /// What a change needs before it has a thread: threads are left for those who only read.
    changes: Arc<Semaphore>,
    /// What a manifest needs that is large in memory.
    large_manifests: Arc<Semaphore>,
}

impl Registry {
    /// Makes the registry of a layout.
    ///
    /// ```
    /// use kit_registry::{
    ///     Layout,
    ///     server::{ListenOptions, Registry, ServerOptions, run},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let dir = tempfile::tempdir()?;
    /// let registry = Registry::new(Layout::init(dir.path())?, ServerOptions::default());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let shutdown = async {}; // at once; else a signal, or whatever ends the program
    /// run(listener, registry.router(), ListenOptions::default(), shutdown).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(layout: Layout, options: ServerOptions) -> Arc<Self> {
        Arc::new(Self {
            layout,
            options,
            sessions: Sessions::default(),
            metrics: Arc::default(),
            changing: Mutex::default(),
            making: Arc::new(Semaphore::new(1)),
            refused: ready::Refused::default(),
            tidying: RwLock::default(),
            changes: Arc::new(Semaphore::new(limits::MAX_CHANGES)),
            large_manifests: Arc::new(Semaphore::new(limits::MAX_LARGE_MANIFESTS)),
        })
    }

    /// What answers its requests.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/metrics", get(show_metrics)).fallback(serve).with_state(self.clone())
    }

    fn repository(&self, name: &str) -> Result<Repository, Failure> {
        Repository::new(&self.layout, name)
    }
}

async fn show_metrics(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    if let Err(failure) = login(&registry, htpasswd::basic(&request)).await {
        return failure.into_response();
    }
    let page = registry.metrics.render(registry.sessions.len());
    ([("content-type", metrics::MEDIA_TYPE)], page).into_response()
}

/// Who sends a request, where the registry asks for that.
async fn login(
    registry: &Registry,
    shown: Option<(String, String)>,
) -> Result<Option<Login>, Failure> {
    let Some(users) = &registry.options.users else { return Ok(None) };
    users.login(shown).await.map(Some).inspect_err(|_| {
        registry.metrics.refused_logins.inc();
    })
}

async fn serve(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (metrics, began) = (registry.metrics.clone(), Instant::now());
    let _in_flight = metrics.begin_request();
    let login = login(&registry, htpasswd::basic(&request)).await;
    let name = login.as_ref().ok().and_then(|it| Some(it.as_ref()?.user.clone()));
    let name = name.unwrap_or_else(|| "-".to_owned());
    let answer = match login {
        Ok(None) => dispatch(registry, request).await,
        Ok(Some(login)) => {
            let request = request.map(|body| login.clone().guard(body));
            dispatch(registry, request).await.map(|it| it.map(|body| login.guard(body)))
        }
        Err(failure) => Err(failure),
    };
    let response = answer.unwrap_or_else(|failure| match ui::is_page(&path) {
        true => ui::refusal(failure),
        false => failure.into_response(),
    });
    let (status, took) = (response.status(), began.elapsed());
    metrics.count_request(&method, status, took);
    tracing::info!(target: "kit_registry::access", %method, path, status = status.as_u16(), user = name, ?took, "request");
    response
}

async fn dispatch(registry: Arc<Registry>, request: Request) -> Result<Response, Failure> {
    if ui::is_page(request.uri().path()) {
        return ui::answer(registry, request).await;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let route = Route::parse(request.uri().path()).map_err(|failure| {
        match failure.is(Code::TagInvalid) && reads {
            // What cannot be a tag is no fault of a reader: there is nothing under it.
            true => Failure::new(Code::ManifestUnknown, "there is no manifest of this name"),
            false => failure,
        }
    })?;
    if registry.options.read_only && !reads {
        return Err(Failure::new(Code::Unsupported, "this registry is read only"));
    }
    match (request.method().as_str(), route) {
        ("GET" | "HEAD", Route::Base) => Ok(base()),
        ("GET" | "HEAD", Route::Catalog) => catalog::list(registry, request).await,
        ("GET" | "HEAD", Route::Blob { name, digest }) => {
            blobs::send(registry, name, digest, request).await
        }
        ("DELETE", Route::Blob { name, digest }) => blobs::delete(registry, name, digest).await,
        ("GET" | "HEAD", Route::Manifest { name, version }) => {
            manifests::send(registry, name, version).await
        }
        ("PUT", Route::Manifest { name, version }) => {
            manifests::put(registry, name, version, request).await
        }
        ("DELETE", Route::Manifest { name, version }) => {
            manifests::delete(registry, name, version).await
        }
        ("POST", Route::Uploads { name }) => uploads::start(registry, name, request).await,
        ("GET" | "HEAD", Route::Upload { name, id }) => uploads::status(registry, name, id).await,
        ("PATCH", Route::Upload { name, id }) => uploads::append(registry, name, id, request).await,
        ("PUT", Route::Upload { name, id }) => uploads::finish(registry, name, id, request).await,
        ("DELETE", Route::Upload { name, id }) => uploads::cancel(registry, name, id).await,
        ("GET" | "HEAD", Route::Tags { name }) => tags::list(registry, name, request).await,
        ("GET" | "HEAD", Route::Referrers { name, subject }) => {
            referrers::list(registry, name, subject, request).await
        }
        (method, _) => {
            Err(Failure::new(Code::Unsupported, format!("{method} is not possible here")))
        }
    }
}

/// Says that this is a registry (end-1).
fn base() -> Response {
    let headers =
        [("content-type", "application/json"), ("docker-distribution-api-version", "registry/2.0")];
    (StatusCode::OK, headers, "{}").into_response()
}

/// Runs work on the disk beside the async tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(Failure::internal(&error)),
    }
}

/// Runs work that changes what repositories hold, which waits for other such work.
async fn changing<T: Send + 'static>(
    registry: Arc<Registry>,
    work: impl FnOnce(&Registry) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let permit = registry.changes.clone().acquire_owned().await;
    let permit = permit.map_err(|error| Failure::internal(&error))?;
    blocking(move || {
        let _one_of_few = permit;
        work(&registry)
    })
    .await
}

/// The values of a query parameter, in their order.
fn query(request: &Request, name: &str) -> Vec<String> {
    let query = request.uri().query().unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

/// The first value of a query parameter.
fn query_first(request: &Request, name: &str) -> Option<String> {
    query(request, name).into_iter().next()
}

/// A header that is text.
fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}
