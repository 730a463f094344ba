//! Why a hub does not give something.

use reqwest::Response;

use super::RepoId;
use crate::client::http::Http;
use crate::{Error, HubError};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    Revision(&'a str),
    File(&'a str),
}

/// Turns an answer that is no success into an error; the hub says the reason in the header
/// `X-Error-Code`.
pub(super) async fn refusal(
    http: &Http,
    response: Response,
    repo: &RepoId,
    wanted: Wanted<'_>,
) -> Error {
    let code = response
        .headers()
        .get("x-error-code")
        .and_then(|code| code.to_str().ok())
        .unwrap_or_default();
    let id = repo.to_string();
    match (code, response.status().as_u16(), wanted) {
        ("GatedRepo", ..) => HubError::GatedRepo { repo: id }.into(),
        ("RevisionNotFound", _, Wanted::Revision(revision)) => {
            HubError::UnknownRevision { repo: id, revision: revision.to_owned() }.into()
        }
        ("EntryNotFound", _, Wanted::File(path)) => {
            HubError::UnknownFile { repo: id, path: path.to_owned() }.into()
        }
        // The hub answers 401 for what does not exist, so that strangers cannot tell it from what
        // they may not see.
        ("RepoNotFound", ..) | ("", 401 | 403, _) | ("", 404, Wanted::Revision(_)) => {
            HubError::UnknownRepo { repo: id }.into()
        }
        ("", 404, Wanted::File(path)) => {
            HubError::UnknownFile { repo: id, path: path.to_owned() }.into()
        }
        _ => match http.expect(response, &[]).await {
            Err(error) => error,
            Ok(_) => unreachable!("no status is expected"),
        },
    }
}
