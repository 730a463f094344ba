//! The next page of a listing, from the header `Link` (RFC 8288).

use reqwest::Response;
use reqwest::header::LINK;
use url::Url;

use super::location;
use crate::{HttpError, Result};

/// Finds the next page of a listing. It must be of the same origin and another page than this one.
pub(crate) fn next_page(response: &Response, page: &Url) -> Result<Option<Url>> {
    let link = response.headers().get(LINK).and_then(|link| link.to_str().ok());
    let Some(target) = link.and_then(|link| next(link, page)) else { return Ok(None) };
    if location::is_same_origin(&target, page) && target != *page {
        return Ok(Some(target));
    }
    let reason = "the next page is the same one, or somewhere else";
    Err(HttpError::protocol(location::shown(page), reason).into())
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
    fn other_links_are_not_the_next_page() {
        check("", None);
        check(r#"</a>; rel="prev""#, None);
        check(r#"</a>; title="rel=next""#, None);
        check("</a", None);
    }
}
