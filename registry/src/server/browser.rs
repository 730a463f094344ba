//! A page in a browser is not its user.
//!
//! A page from elsewhere can make a browser send requests to any address that the browser reaches,
//! this machine's own among them. Its writes say where they come from (`Origin`,
//! `Sec-Fetch-Site`). And a page whose own name was made to stand for this server's address (DNS
//! rebinding) may even read, but the browser still says that name (`Host`).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::content;

/// What a server may be called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// `None`: whatever its clients call it.
    pub(super) known: Option<Vec<String>>,
    /// Whether only this machine reaches it.
    pub(super) is_loopback: bool,
}

/// Lets pass what no page of somebody else's can send.
pub(super) async fn guard(
    State(names): State<Arc<Names>>,
    request: Request,
    next: Next,
) -> Response {
    match names.refusal(&request) {
        None => next.run(request).await,
        Some(why) => {
            // As clients of registries read it, and as those of hubs do.
            let body = json!({ "errors": [{ "code": "DENIED", "message": why }], "error": why });
            let headers = [("content-type", "application/json")];
            (StatusCode::FORBIDDEN, headers, content::encode(&body)).into_response()
        }
    }
}

impl Names {
    /// Says why a request is refused, if it is.
    fn refusal(&self, request: &Request) -> Option<String> {
        let headers = request.headers();
        let hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or(""));
        let named = request.uri().authority().map(Authority::as_str);
        let mut hosts = hosts.chain(named);
        if let Some(host) = hosts.find(|host| !self.are(host)) {
            let host: String = host.chars().take(255).filter(|c| c.is_ascii_graphic()).collect();
            return Some(format!(
                "this server is not known as {host:?}: name it to the server if it is, or use its address"
            ));
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        (!reads && is_from_elsewhere(headers))
            .then(|| "pages of other sites may not write here".to_owned())
    }

    /// Says whether this host is the server: an address cannot be made to stand for another one.
    fn are(&self, host: &str) -> bool {
        let Some(known) = &self.known else { return true };
        let Some(name) = name(host) else { return false };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || (!self.is_loopback && is_of_a_network(&name))
            || known.iter().any(|known| self::name(known).as_deref() == Some(&*name))
    }
}

/// Says whether only a network's own owner can make this name stand for an address: it has no dot,
/// or is below a domain that is given to nobody (RFC 6761, RFC 6762, RFC 8375, and `internal`).
fn is_of_a_network(name: &str) -> bool {
    const DOMAINS: [&str; 4] = [".internal", ".local", ".test", ".home.arpa"];
    !name.contains('.') || DOMAINS.iter().any(|domain| name.ends_with(domain))
}

/// The name in `name:port`.
fn name(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    Some(authority.host().trim_end_matches('.').to_ascii_lowercase())
}

/// Says whether a browser tells that a page of another site makes it ask. Other programs tell
/// nothing.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let origin = origin.split_once("://").map(|(_, host)| host);
    origin.is_none() || origin != text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(names: &Names, method: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method).uri("/v2/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        names.refusal(&request.body(axum::body::Body::empty()).expect("a request"))
    }

    #[test]
    fn a_name_that_was_made_to_stand_for_our_address_is_refused_for_reads_too() {
        let names = Names { known: Some(vec!["kits.example".into()]), is_loopback: true };
        for ours in [
            "127.0.0.1:5000",
            "127.0.0.1",
            "[::1]:5000",
            "192.168.1.5",
            "localhost:5000",
            "LOCALHOST",
            "kit.localhost:1",
            "kits.example:5000",
            "Kits.Example.",
        ] {
            assert_eq!(refusal(&names, "GET", &[("host", ours)]), None, "{ours}");
        }
        let others =
            ["evil.example", "evil.example:5000", "localhost.evil.example", "", "registry"];
        for other in others.into_iter().chain(["127.0.0.1.evil.example", "a b", "evil@x.example"]) {
            for method in ["GET", "PUT"] {
                assert!(refusal(&names, method, &[("host", other)]).is_some(), "{other}");
            }
        }
        assert!(
            refusal(&names, "GET", &[("host", "localhost"), ("host", "evil.example")]).is_some()
        );
        assert_eq!(refusal(&names, "GET", &[]), None, "no browser");
        let on_a_network = Names { is_loopback: false, ..names.clone() };
        for ours in ["registry:5000", "host.docker.internal:5000", "kits.default.svc.cluster.local"]
        {
            assert_eq!(refusal(&on_a_network, "GET", &[("host", ours)]), None, "{ours}");
            assert!(refusal(&names, "GET", &[("host", ours)]).is_some(), "{ours}");
        }
        assert!(refusal(&on_a_network, "GET", &[("host", "evil.example")]).is_some());
        let anything = Names { known: None, ..names };
        assert_eq!(refusal(&anything, "GET", &[("host", "evil.example")]), None);
    }

    #[test]
    fn writes_of_pages_of_other_sites_are_refused() {
        let names = Names { known: None, is_loopback: true };
        let host = ("host", "localhost:5000");
        for headers in [
            [host, ("origin", "http://evil.example")],
            [host, ("origin", "http://localhost:3000")],
            [host, ("origin", "null")],
            [host, ("sec-fetch-site", "cross-site")],
            [host, ("sec-fetch-site", "same-site")],
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                assert!(refusal(&names, method, &headers).is_some(), "{headers:?}");
            }
            assert_eq!(refusal(&names, "GET", &headers), None, "{headers:?}");
        }
        for headers in [
            [host, ("origin", "http://localhost:5000")],
            [host, ("sec-fetch-site", "none")],
            [host, ("sec-fetch-site", "same-origin")],
            [host, ("user-agent", "a program")],
        ] {
            assert_eq!(refusal(&names, "POST", &headers), None, "{headers:?}");
        }
    }
}
