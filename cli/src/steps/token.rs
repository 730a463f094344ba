//! Which token goes where.

use reqwest::Url;

use crate::env;

/// Hugging Face's own hub.
pub(crate) const HUB: &str = "https://huggingface.co";

/// The token for an address: the one that the user gives for it, or `HF_TOKEN` where that is meant
/// for the address.
pub(crate) fn token(address: &str, given: Option<&str>) -> Option<String> {
    let of_environment =
        || env::hf_token().filter(|_| is_hub(address, env::hf_endpoint().as_deref()));
    let token = given.map(str::to_owned).or_else(of_environment);
    if token.is_some() {
        env::hold_secrets();
    }
    token
}

/// Whether an address lies at Hugging Face's hub, or at the one that `HF_ENDPOINT` names:
/// `HF_TOKEN` goes to nobody else.
fn is_hub(address: &str, endpoint: Option<&str>) -> bool {
    let Some(origin) = origin(address) else { return false };
    [Some(HUB), endpoint]
        .into_iter()
        .flatten()
        .any(|hub| self::origin(hub).as_ref() == Some(&origin))
}

/// Scheme, host and port of an address; only those that are asked over HTTP have an origin.
pub(crate) fn origin(address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_token_is_for_its_hub_only() {
        let mirror = Some("http://127.0.0.1:8080/hf/");
        let check = |address: &str, endpoint: Option<&str>, expected: bool| {
            assert_eq!(is_hub(address, endpoint), expected, "{address} {endpoint:?}");
        };
        check("https://huggingface.co", None, true);
        check("https://HuggingFace.co:443/org/name.git", None, true);
        check("https://huggingface.co/org/name", mirror, true);
        check("http://127.0.0.1:8080/org/name", mirror, true);
        check("http://127.0.0.1:8080/org/name", None, false);
        check("http://127.0.0.1:8081/org/name", mirror, false);
        check("https://127.0.0.1:8080/org/name", mirror, false);
        check("http://huggingface.co/org/name", None, false);
        check("https://huggingface.co.evil.test/org/name", None, false);
        check("https://huggingface.co@evil.test/org/name", None, false);
        check("https://github.com/huggingface.co/name.git", None, false);
        check("ssh://huggingface.co/org/name", None, false);
        check("git@huggingface.co:org/name", None, false);
        check("../huggingface.co/name.git", Some("no address"), false);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(
            origin("https://user:word@Host.test:443/o/n.git?q#f").as_deref(),
            Some("https://host.test")
        );
        assert_eq!(origin("http://[::1]:8080/o/n.git").as_deref(), Some("http://[::1]:8080"));
        assert_eq!(origin("file:///srv/n.git"), None);
        assert_eq!(origin("git@host.test:o/n"), None);
    }
}
