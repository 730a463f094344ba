//! Listings of files, a page at a time: as the hub does, with the address of the next page in a
//! `Link` header. Only what is on the page becomes text.

use std::collections::BTreeSet;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::folder::{Commit, File, TITLE};
use super::query::Query;
use super::{Refusal, time};
use crate::content;
use crate::server::limits::{MAX_HUB_PAGE, MAX_IN_MEMORY};

/// A file or a folder of a repository.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    Folder(&'a str),
    File(&'a str, &'a File),
}

impl Entry<'_> {
    /// What a listing says of it; expanded with the commit that it is from.
    pub(super) fn shown(&self, commit: &Commit, is_expanded: bool) -> Value {
        let mut shown = match self {
            Self::File(path, file) => file.entry(path),
            Self::Folder(path) => {
                json!({ "type": "directory", "oid": commit.sha, "size": 0, "path": path })
            }
        };
        if is_expanded {
            let date = time::written(commit.modified);
            shown["lastCommit"] = json!({ "id": commit.sha, "title": TITLE, "date": date });
        }
        shown
    }
}

/// Lists what lies beneath a path; without recursion only what lies directly in it, folders among
/// them.
pub(super) fn tree<'a>(
    commit: &'a Commit,
    path: &str,
    is_recursive: bool,
) -> Result<Vec<Entry<'a>>, Refusal> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let (mut entries, mut folders) = (Vec::new(), BTreeSet::new());
    for (path, file) in &commit.files {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let below: Vec<usize> = rest.match_indices('/').map(|(at, _)| at).collect();
        let shown = if is_recursive { below.as_slice() } else { &below[..below.len().min(1)] };
        folders.extend(shown.iter().map(|at| &path[..prefix.len() + at]));
        if is_recursive || below.is_empty() {
            entries.push(Entry::File(path, file));
        }
    }
    if entries.is_empty() && folders.is_empty() && !path.is_empty() {
        return Err(Refusal::Unknown(
            "EntryNotFound",
            format!("{path} does not exist on \"main\""),
        ));
    }
    Ok(folders.into_iter().map(Entry::Folder).chain(entries).collect())
}

/// What lies at a path.
pub(super) fn at<'a>(commit: &'a Commit, path: &str) -> Option<Entry<'a>> {
    if let Some((path, file)) = commit.files.get_key_value(path) {
        return Some(Entry::File(path, file));
    }
    let prefix = format!("{path}/");
    let (first, _) = commit.files.range(prefix.clone()..).next()?;
    first.starts_with(&prefix).then(|| Entry::Folder(&first[..path.len()]))
}

/// A page of a list, from the request's cursor on.
pub(super) fn page<T>(
    all: &[T],
    shown: impl Fn(&T) -> Value,
    query: &Query,
    request: &Request,
) -> Response {
    let from = query.number("cursor").unwrap_or(0).min(all.len());
    let most = query.number("limit").unwrap_or(MAX_HUB_PAGE).clamp(1, MAX_HUB_PAGE);
    let (mut body, mut to) = (b"[".to_vec(), from);
    for item in &all[from..(from + most).min(all.len())] {
        let item = content::encode(&shown(item));
        if to > from && (body.len() + item.len()) as u64 > MAX_IN_MEMORY {
            break;
        }
        if to > from {
            body.push(b',');
        }
        body.extend_from_slice(&item);
        to += 1;
    }
    body.push(b']');
    let answer = ([("content-type", "application/json")], body);
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let (Some(host), false) = (host, to == all.len()) else { return answer.into_response() };
    // No certificate of this server's own: whoever puts TLS before it knows to change the scheme.
    let (path, next) = (request.uri().path(), query.with_cursor(to));
    ([("link", format!("<http://{host}{path}?{next}>; rel=\"next\""))], answer).into_response()
}
