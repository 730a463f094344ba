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

mod folder;
mod route;
mod send;

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::folder::{Commit, Folder};
use self::route::{Route, What};

/// Entries on a page of a listing.
const PAGE: usize = 1000;

/// Serves a folder of models: what the official client, and ours, ask of a hub.
pub fn router(dir: &Path) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(Folder::new(dir)))
}

/// Why something is not given.
#[derive(Debug)]
enum Refusal {
    /// The code and the words that the official client knows.
    Unknown(&'static str, String),
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
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refusal::Method);
    }
    let unknown = || Refusal::Unknown("RepoNotFound", "Repository not found".to_owned());
    let route = Route::parse(request.uri().path()).ok_or_else(unknown)?;
    let Route { repo, revision, what } = route;
    let commit = {
        let (folder, repo) = (folder.clone(), repo.clone());
        let reading = tokio::task::spawn_blocking(move || folder.commit(&repo));
        reading.await.expect("reading a folder does not panic")?.ok_or_else(unknown)?
    };
    if !matches!(revision.as_str(), "main" | "HEAD") && revision != commit.sha {
        return Err(Refusal::Unknown("RevisionNotFound", format!("Invalid rev id: {revision}")));
    }
    match what {
        What::Info => Ok(Json(info(&repo.name, &commit)).into_response()),
        What::Tree { path } => Ok(page(tree(&commit, &path, is_recursive(&request))?, &request)),
        What::File { path } => send::file(&folder, &repo, &commit, &path, request).await,
    }
}

/// A page of a listing, with the address of the next one where there is more: as the hub does, in a
/// `Link` header.
fn page(mut entries: Vec<Value>, request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let asked: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let number = |name: &str| {
        asked.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok())
    };
    let from = number("cursor").unwrap_or(0).min(entries.len());
    let to = (from + number("limit").unwrap_or(PAGE).clamp(1, PAGE)).min(entries.len());
    let is_last = to == entries.len();
    let entries: Vec<Value> = entries.drain(from..to).collect();
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let (Some(host), false) = (host, is_last) else { return Json(entries).into_response() };
    let mut next = url::form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(asked.iter().filter(|(key, _)| key != "cursor"))
        .append_pair("cursor", &to.to_string());
    // No certificate of this server's own: whoever puts TLS before it knows to change the scheme.
    let link = format!("<http://{host}{}?{}>; rel=\"next\"", request.uri().path(), next.finish());
    ([("link", link)], Json(entries)).into_response()
}

fn is_recursive(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(key, value)| key == "recursive" && matches!(&*value, "true" | "True" | "1"))
}

fn info(name: &str, commit: &Commit) -> Value {
    let siblings: Vec<Value> =
        commit.files.keys().map(|path| json!({ "rfilename": path })).collect();
    json!({
        "_id": commit.sha, "id": name, "modelId": name, "sha": commit.sha,
        "private": false, "gated": false, "disabled": false, "downloads": 0, "likes": 0, "tags": [],
        "siblings": siblings,
    })
}

/// Lists what lies beneath a path; without recursion only what lies directly in it, folders among
/// them.
fn tree(commit: &Commit, path: &str, is_recursive: bool) -> Result<Vec<Value>, Refusal> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let (mut entries, mut folders) = (Vec::new(), std::collections::BTreeSet::new());
    for (path, file) in &commit.files {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let below: Vec<usize> = rest.match_indices('/').map(|(at, _)| at).collect();
        let shown = if is_recursive { below.as_slice() } else { &below[..below.len().min(1)] };
        folders.extend(shown.iter().map(|at| format!("{prefix}{}", &rest[..*at])));
        if is_recursive || below.is_empty() {
            entries.push(file.entry(path));
        }
    }
    if entries.is_empty() && folders.is_empty() && !path.is_empty() {
        return Err(Refusal::Unknown(
            "EntryNotFound",
            format!("{path} does not exist on \"main\""),
        ));
    }
    let folders = folders
        .into_iter()
        .map(|path| json!({ "type": "directory", "oid": commit.sha, "size": 0, "path": path }));
    Ok(folders.chain(entries).collect())
}
