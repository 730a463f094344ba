//! The next page of a listing, from the header `Link` (RFC 8288).

use reqwest::Response;
use reqwest::header::LINK;
use url::Url;

use super::location;
use crate::{HttpError, Result};

/// The largest size of all pages of a list together, in bytes.
pub(crate) const MAX_LIST: u64 = 64 * 1024 * 1024;

/// Finds the next page of a listing: another one than this, and of the same origin.
pub(crate) fn next_page(response: &Response, page: &Url) -> Result<Option<Url>> {
    let links = response.headers().get_all(LINK).into_iter().filter_map(|link| link.to_str().ok());
    let Some(target) = links.filter_map(|link| next(link, page)).next() else { return Ok(None) };
    let target = at_home(target, page);
    if target != *page {
        return Ok(Some(target));
    }
    Err(HttpError::protocol(location::shown(page), "the next page is the same one").into())
}

/// A server behind a proxy may not know by which name, scheme or path it is spoken to: what it says
/// is looked for where this page was, and nowhere else.
fn at_home(target: Url, page: &Url) -> Url {
    if location::is_same_origin(&target, page) {
        return target;
    }
    let mut home = page.clone();
    if !page.path().ends_with(target.path()) {
        home.set_path(target.path());
    }
    home.set_query(target.query());
    home
}

/// Returns the target of `rel="next"`, resolved against the address of this page.
fn next(header: &str, page: &Url) -> Option<Url> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let end = end_of_parameters(after);
        if is_next(&after[..end]) {
            return page.join(target).ok();
        }
        rest = &after[end..];
    }
}

/// Finds the comma that ends a link's parameters, outside of quotes.
fn end_of_parameters(text: &str) -> usize {
    let mut quoted = false;
    text.find(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .unwrap_or(text.len())
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel")
            && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<&str>) {
        let page =
            Url::parse("https://r.test/v2/a/tags/list?n=2").expect("the address is well formed");
        assert_eq!(next(header, &page).as_ref().map(Url::as_str), expected, "{header}");
    }

    #[test]
    fn the_next_page_is_found() {
        check(
            r#"</v2/a/tags/list?n=2&last=b>; rel="next""#,
            Some("https://r.test/v2/a/tags/list?n=2&last=b"),
        );
        check("<?last=c>;rel=next", Some("https://r.test/v2/a/tags/list?last=c"));
        check(
            r#"<https://x.test/1>; rel="prev"; title="a,b", <https://x.test/3>; rel="last next""#,
            Some("https://x.test/3"),
        );
    }

    #[test]
    fn a_page_elsewhere_is_looked_for_here() {
        let check = |target: &str, page: &str, expected: &str| {
            let [target, page] = [target, page].map(|it| Url::parse(it).expect("well formed"));
            assert_eq!(at_home(target, &page).as_str(), expected);
        };
        check("https://r.test/v2/p/1?x", "https://r.test/v2/a", "https://r.test/v2/p/1?x");
        check("http://r.test/v2/a?last=b", "https://r.test/v2/a?n=1", "https://r.test/v2/a?last=b");
        check("http://inside:5000/v2/p/1", "https://r.test/v2/a?n=1", "https://r.test/v2/p/1");
        // A mirror beneath a path hands on what the hub said.
        check(
            "https://hub.test/api/x?cursor=1",
            "https://mirror.test/hf/api/x?recursive=true",
            "https://mirror.test/hf/api/x?cursor=1",
        );
    }

    #[test]
    fn other_links_are_not_the_next_page() {
        check("", None);
        check(r#"</a>; rel="prev""#, None);
        check(r#"</a>; title="rel=next""#, None);
        check("</a", None);
    }
}
