//! Which token service may see the credentials of a registry (the class of CVE-2026-33990 and
//! CVE-2025-51471).

use url::Url;

/// Token services on another host that their registries are known to use.
const KNOWN: [(&str, &str); 6] = [
    ("docker.io", "auth.docker.io"),
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
    ("registry.digitalocean.com", "api.digitalocean.com"),
    ("nvcr.io", "authn.nvidia.com"),
];

/// Says whether a token service may be asked at all: never over a weaker scheme than the registry's
/// own.
pub(super) fn is_reachable(realm: &Url, registry: &Url) -> bool {
    let is_as_strong =
        realm.scheme() == "https" || (realm.scheme() == "http" && registry.scheme() == "http");
    is_as_strong && realm.has_host() && realm.username().is_empty() && realm.password().is_none()
}

/// Says whether a token service may see the credentials of the registry: it is on the registry's
/// own host, is known to belong to it, or was named by the user.
pub(super) fn is_trusted(realm: &Url, registry: &Url, name: &str, named: &[String]) -> bool {
    let Some(host) = realm.host_str() else { return false };
    let is_known = KNOWN.iter().any(|(registry, service)| *registry == name && *service == host);
    let is_named = named.iter().any(|named| named == host);
    let is_own = registry.host_str() == Some(host);
    is_reachable(realm, registry) && (is_own || is_named || (is_known && realm.scheme() == "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(realm: &str, registry: &str, name: &str, reachable: bool, trusted: bool) {
        let named = ["sso.corp.test".to_owned()];
        let (realm, registry) =
            (Url::parse(realm).expect("well formed"), Url::parse(registry).expect("well formed"));
        assert_eq!(is_reachable(&realm, &registry), reachable, "{realm}");
        assert_eq!(is_trusted(&realm, &registry, name, &named), trusted, "{realm}");
    }

    #[test]
    fn credentials_stay_with_the_registry_and_its_known_service() {
        check("https://r.test/token", "https://r.test/", "r.test", true, true);
        check("https://r.test:5001/token", "https://r.test:5000/", "r.test:5000", true, true);
        check(
            "https://auth.docker.io/token",
            "https://registry-1.docker.io/",
            "docker.io",
            true,
            true,
        );
        check("https://sso.corp.test/token", "https://r.test/", "r.test", true, true);
    }

    #[test]
    fn cve_2026_33990_a_foreign_realm_sees_no_credentials() {
        check("https://evil.test/token", "https://r.test/", "r.test", true, false);
        check("https://auth.docker.io/token", "https://r.test/", "r.test", true, false);
        check("https://r.test.evil.test/token", "https://r.test/", "r.test", true, false);
    }

    #[test]
    fn a_realm_is_never_weaker_than_its_registry() {
        check("http://r.test/token", "https://r.test/", "r.test", false, false);
        check("ftp://r.test/token", "http://r.test/", "r.test", false, false);
        check("https://user:pw@r.test/token", "https://r.test/", "r.test", false, false);
        check("http://r.test/token", "http://r.test/", "r.test", true, true);
    }
}
