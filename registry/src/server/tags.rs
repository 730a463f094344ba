//! Lists of tags (distribution-spec, "Listing Tags").

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Code, Failure, Registry, blocking, query_first};
use crate::content;

/// Lists the tags of a repository, sorted by their bytes, from the one after `last`, at most `n`
/// (end-8a, end-8b).
pub(super) async fn list(
    registry: Arc<Registry>,
    name: String,
    request: Request,
) -> Result<Response, Failure> {
    let limit = match query_first(&request, "n").map(|n| n.parse::<usize>()) {
        None => usize::MAX,
        Some(Ok(n)) => n,
        Some(Err(_)) => return Err(Failure::new(Code::BadRequest, "`n` is not a number")),
    };
    let last = query_first(&request, "last");
    blocking(move || {
        let repository = registry.repository(&name)?;
        if !repository.is_known()? {
            return Err(Failure::new(Code::NameUnknown, format!("there is no repository {name}")));
        }
        let all = repository.tags()?.into_iter().map(|(tag, _)| tag);
        let page = page(all, last.as_deref(), limit);
        let body = content::encode(&json!({ "name": name, "tags": page.items }));
        let link = page.has_more.then(|| {
            let last = page.items.last().map_or("", |last| last.as_str());
            [("link", format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""))]
        });
        let headers = [("content-type", "application/json")];
        Ok((StatusCode::OK, headers, link.map(axum::response::AppendHeaders), body).into_response())
    })
    .await
}

/// A part of a sorted list.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Whether a link to a next page is due. An empty page has none: nothing says where it would go
    /// on.
    pub(super) has_more: bool,
}

/// Takes the items after `last`, at most `limit`.
pub(super) fn page<T: AsRef<str>>(
    sorted: impl Iterator<Item = T>,
    last: Option<&str>,
    limit: usize,
) -> Page<T> {
    let mut rest = sorted.skip_while(|item| last.is_some_and(|last| item.as_ref() <= last));
    let items: Vec<_> = rest.by_ref().take(limit).collect();
    let has_more = !items.is_empty() && rest.next().is_some();
    Page { items, has_more }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let of = |last, limit| {
            let page = page(["a", "b", "c"].into_iter(), last, limit);
            (page.items, page.has_more)
        };
        assert_eq!(of(None, 2), (vec!["a", "b"], true));
        assert_eq!(of(Some("b"), 2), (vec!["c"], false));
        assert_eq!(of(Some("aa"), 9), (vec!["b", "c"], false));
        assert_eq!(of(None, 0), (vec![], false));
        assert_eq!(of(None, 3), (vec!["a", "b", "c"], false));
    }
}
