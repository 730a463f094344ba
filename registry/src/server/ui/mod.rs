//! Pages to look at the registry with a browser: its repositories, their tags, and what a manifest
//! is of. They are made of the same content as the answers of the protocol, for the same users, and
//! change nothing.
//!
//! ```text
//! /ui                              the repositories
//! /ui/<name>                       the tags of one
//! /ui/<name>/-/<tag or digest>     a manifest: no segment of a name is a lone `-`
//! ```

mod card;
mod html;
mod kind;
mod lists;
mod manifest;
mod page;
mod referrers;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Method;
use axum::http::uri::Authority;
use axum::response::Response;

use self::html::Html;
use super::route::{Version, parse_name, parse_version};
use super::{Code, Failure, Registry, blocking, header, query_first};

/// Which page a path names.
#[derive(Debug, PartialEq, Eq)]
enum Page {
    Repositories,
    Tags { name: String },
    Manifest { name: String, version: Version },
}

/// Says whether a path is one of a page.
pub(super) fn is_page(path: &str) -> bool {
    path == "/ui" || path.starts_with("/ui/")
}

/// Answers with a page.
pub(super) async fn answer(registry: Arc<Registry>, request: Request) -> Result<Response, Failure> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let failure = Failure::new(Code::Unsupported, "these pages are for reading");
        return Err(failure.with_header("allow", "GET, HEAD"));
    }
    let page = Page::parse(request.uri().path())?;
    let (last, host) = (query_first(&request, "last"), host(&request));
    blocking(move || match page {
        Page::Repositories => lists::repositories(&registry, last),
        Page::Tags { name } => lists::tags(&registry, &name, last),
        Page::Manifest { name, version } => manifest::show(&registry, &name, &version, last, &host),
    })
    .await
}

/// Says on a page why there is not the one that was asked for.
pub(super) fn refusal(failure: Failure) -> Response {
    failure.answer(|status, _, message| {
        let mut body = Html::default();
        body.markup("<p>").text(message).markup("</p>");
        page::page(status, status.canonical_reason().unwrap_or("It failed"), &[], &body)
    })
}

impl Page {
    fn parse(path: &str) -> Result<Self, Failure> {
        let path = path.strip_prefix("/ui").unwrap_or_default();
        let path = path.strip_suffix('/').unwrap_or(path);
        let Some(path) = path.strip_prefix('/') else { return Ok(Self::Repositories) };
        let page = match path.split_once("/-/") {
            None => parse_name(path).map(|name| Self::Tags { name }),
            Some((name, version)) => parse_name(name)
                .and_then(|name| Ok(Self::Manifest { name, version: parse_version(version)? })),
        };
        // What cannot be a name or a tag is no fault of a reader: there is nothing under it.
        page.map_err(|_| Failure::new(Code::NoRoute, "there is no such page"))
    }
}

/// What the registry is called by whoever asks. It is repeated in lines for a shell: a name that
/// could be more than a name is not.
fn host(request: &Request) -> String {
    let named = header(request, "host").or(request.uri().authority().map(Authority::as_str));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    let named = named.filter(|it| !it.is_empty() && it.len() <= 255 && it.bytes().all(is_plain));
    named.unwrap_or("HOST").to_owned()
}

/// The page of a repository.
fn path_of(name: &str) -> String {
    format!("/ui/{name}")
}

/// The page of a manifest.
fn path_of_manifest(name: &str, version: impl std::fmt::Display) -> String {
    format!("/ui/{name}/-/{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_told_from_a_repository_of_any_name() {
        let name = || "a/ui/tags-list".to_owned();
        let tagged = Page::Manifest { name: name(), version: Version::Tag("v1".into()) };
        for (path, page) in [
            ("/ui", Page::Repositories),
            ("/ui/", Page::Repositories),
            ("/ui/a/ui/tags-list", Page::Tags { name: name() }),
            ("/ui/a/ui/tags-list/", Page::Tags { name: name() }),
            ("/ui/a/ui/tags-list/-/v1", tagged),
        ] {
            assert_eq!(Page::parse(path).unwrap(), page, "{path}");
        }
        for path in [
            "/ui/../x",
            "/ui/A",
            "/ui/a/-",
            "/ui/a/-/",
            "/ui/a/-/v1/-/v2",
            "/ui//a",
            "/ui/a/-/sha256:x",
        ] {
            assert!(Page::parse(path).is_err_and(|it| it.is(Code::NoRoute)), "{path}");
        }
    }

    #[test]
    fn a_host_that_a_shell_would_run_is_not_repeated() {
        let named = |host: &str| {
            let request = Request::get("/ui").header("host", host);
            self::host(&request.body(axum::body::Body::empty()).unwrap())
        };
        assert_eq!(named("kits.example:5000"), "kits.example:5000");
        assert_eq!(named("[::1]:5000"), "[::1]:5000");
        assert_eq!(named("x;rm"), "HOST");
        assert_eq!(named("$(x)"), "HOST");
        assert_eq!(named(""), "HOST");
    }
}
