//! Names that must not lead to the addresses where clouds keep the secrets of a machine.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

/// Says whether an address is link-local or a metadata service's: no registry lives there, and a
/// registry that sends a client there wants its secrets (the class of CVE-2026-33990).
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    }
}

/// Says whether a URL names such an address itself.
pub(crate) fn is_forbidden_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => is_forbidden(v4.into()),
        Some(Host::Ipv6(v6)) => is_forbidden(v6.into()),
        _ => false,
    }
}

/// Resolves names by the system, and leaves the forbidden addresses out.
/// With `hickory-dns` that resolver is used as it is, because only it works in a static binary.
#[cfg(not(feature = "hickory-dns"))]
#[derive(Debug)]
pub(super) struct Resolver;

#[cfg(not(feature = "hickory-dns"))]
impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|address| !is_forbidden(address.ip())).collect();
            let addresses: reqwest::dns::Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2026_33990_metadata_services_are_not_asked() {
        let forbidden =
            |url: &str| is_forbidden_host(&Url::parse(url).expect("the address is well formed"));
        for url in [
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
        ] {
            assert!(forbidden(url), "{url}");
        }
        // A number is an address too.
        assert!(forbidden("http://2852039166/"));
        for url in ["http://127.0.0.1/", "http://10.0.0.1/", "https://r.test/", "http://[::1]/"] {
            assert!(!forbidden(url), "{url}");
        }
    }
}
