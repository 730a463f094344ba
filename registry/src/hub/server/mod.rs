//! A folder of models, served as a hub.
//!
//! ```text
//! <dir>/org/name/…             a model; `<dir>/name/…` is one without an organisation
//!       datasets/org/name/…    a dataset
//! ```
//!
//! Each repository has one revision, `main`; its commit is derived from the content. Large and
//! binary files are listed with their SHA-256, as files in Git LFS are. Everything is served from
//! here: no redirects, no other stores.

mod catalog;
mod folder;
mod pages;
mod query;
mod route;
mod send;
mod time;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::timeout;

use self::folder::{Commit, Folder};
use self::query::Query;
use self::route::{Repo, Route, What};
use crate::server::limits::{HUB_BODY_TIMEOUT, MAX_HUB_BODY, MAX_HUB_PATHS};

/// Serves a folder of models: what the official client, and ours, ask of a hub. A link that leads
/// out of the folder is not followed.
pub fn router(dir: &Path) -> Router {
    router_with(dir, BTreeMap::new())
}

/// Serves a folder of models, and models that lie elsewhere, by their names.
pub fn router_with(dir: &Path, elsewhere: BTreeMap<String, PathBuf>) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(Folder::new(dir, elsewhere)))
}

/// Why something is not given.
#[derive(Debug)]
enum Refusal {
    /// The code and the words that the official client knows.
    Unknown(&'static str, String),
    /// A request that makes no sense here, or too much of it.
    Asked(String),
    Method,
    Failed(crate::Error),
}

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        Self::Failed(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::Unknown(code, message) => (StatusCode::NOT_FOUND, code, message),
            Self::Asked(why) => (StatusCode::BAD_REQUEST, "", why),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "", "this hub is read only".to_owned())
            }
            Self::Failed(error) => {
                // What went wrong on the disk is for this side's log.
                tracing::error!(error = &error as &dyn std::error::Error, "request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "", "it could not be read".to_owned())
            }
        };
        let body = Json(json!({ "error": message }));
        match code {
            "" => (status, body).into_response(),
            code => (status, [("x-error-code", code)], body).into_response(),
        }
    }
}

async fn serve(State(folder): State<Arc<Folder>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = answer(folder, request).await.unwrap_or_else(IntoResponse::into_response);
    tracing::debug!(%method, path, status = response.status().as_u16(), "request");
    response
}

async fn answer(folder: Arc<Folder>, request: Request) -> Result<Response, Refusal> {
    let query = Query::parse(request.uri().query().unwrap_or_default().as_bytes());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if let Some(is_dataset) = route::list(request.uri().path()).filter(|_| reads) {
        let asked = query.clone();
        let listing = move || catalog::list(&folder, is_dataset, &asked);
        let listing = tokio::task::spawn_blocking(listing).await;
        let all = listing.expect("reading a folder does not panic")?;
        return Ok(pages::page(&all, Value::clone, &query, &request));
    }
    let unknown = || Refusal::Unknown("RepoNotFound", "Repository not found".to_owned());
    let route = Route::parse(request.uri().path());
    let asks = matches!(&route, Some(route) if route.what == What::PathsInfo);
    if !(reads && !asks || asks && *request.method() == Method::POST) {
        return Err(Refusal::Method);
    }
    let Route { repo, revision, what } = route.ok_or_else(unknown)?;
    let commit = folder.clone().commit(&repo).await?.ok_or_else(unknown)?;
    if !matches!(revision.as_str(), "main" | "HEAD") && revision != commit.sha {
        return Err(Refusal::Unknown("RevisionNotFound", format!("Invalid rev id: {revision}")));
    }
    match what {
        What::Info => Ok(info(&repo, commit, query.asks("blobs"))),
        What::Tree { path } => {
            let entries = pages::tree(&commit, &path, query.asks("recursive"))?;
            let is_expanded = query.asks("expand");
            Ok(pages::page(&entries, |entry| entry.shown(&commit, is_expanded), &query, &request))
        }
        What::PathsInfo => paths_info(&commit, request).await,
        What::Refs => Ok(Json(refs(&commit, query.asks("include_prs"))).into_response()),
        What::Commits => Ok(Json(json!([history(&commit)])).into_response()),
        What::File { path } => send::file(&folder, &repo, &commit, &path, request).await,
    }
}

/// The repository with all its files, and with sizes and digests of these where they are asked for.
fn info(repo: &Repo, commit: Arc<Commit>, has_blobs: bool) -> Response {
    let mut info = catalog::about(repo);
    info["_id"] = commit.sha.as_str().into();
    info["sha"] = commit.sha.as_str().into();
    info["lastModified"] = time::written(commit.modified).into();
    send::info(&info, commit, has_blobs)
}

/// The one branch that there is.
fn refs(commit: &Commit, has_pull_requests: bool) -> Value {
    let main = json!({ "name": "main", "ref": "refs/heads/main", "targetCommit": commit.sha });
    let mut refs = json!({ "branches": [main], "converts": [], "tags": [] });
    if has_pull_requests {
        refs["pullRequests"] = json!([]);
    }
    refs
}

/// The one commit that there is: the folder as it lies there.
fn history(commit: &Commit) -> Value {
    let (title, message) = (folder::TITLE, "");
    json!({
        "id": commit.sha, "title": title, "message": message, "authors": [],
        "date": time::written(commit.modified),
        "formatted": { "title": title, "message": message },
    })
}

/// What lies at the paths that a form, or a JSON document, names; those that are not there are left
/// out, as the hub does.
async fn paths_info(commit: &Commit, request: Request) -> Result<Response, Refusal> {
    let content_type = request.headers().get("content-type").and_then(|it| it.to_str().ok());
    let is_json = content_type.is_some_and(|it| it.starts_with("application/json"));
    let wrong = || Refusal::Asked(format!("a body names `paths`, in {MAX_HUB_BODY} bytes"));
    let body = axum::body::to_bytes(request.into_body(), MAX_HUB_BODY);
    let body = timeout(HUB_BODY_TIMEOUT, body).await.ok().and_then(Result::ok).ok_or_else(wrong)?;
    let (mut paths, is_expanded) = match is_json {
        true => {
            #[derive(serde::Deserialize)]
            struct Asked {
                paths: Vec<String>,
                #[serde(default)]
                expand: bool,
            }
            let asked: Asked = serde_json::from_slice(&body).map_err(|_| wrong())?;
            (asked.paths, asked.expand)
        }
        false => {
            let form = Query::parse(&body);
            let paths = form.pairs().filter(|(key, _)| *key == "paths");
            (paths.map(|(_, path)| path.to_owned()).collect(), form.asks("expand"))
        }
    };
    if paths.len() > MAX_HUB_PATHS {
        return Err(Refusal::Asked(format!("{MAX_HUB_PATHS} paths at a time")));
    }
    paths.iter_mut().for_each(|path| path.truncate(path.trim_end_matches('/').len()));
    paths.sort_unstable();
    paths.dedup();
    let found = paths.iter().filter_map(|path| pages::at(commit, path));
    Ok(Json(found.map(|entry| entry.shown(commit, is_expanded)).collect::<Vec<_>>())
        .into_response())
}
