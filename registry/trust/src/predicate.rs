//! The kinds of statements by their short names.

/// What kit-rs has measured of a ModelKit: task, metrics, and the digest of the examples.
pub const EVALUATION: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/evaluation/v1");

/// The type of a predicate: `evaluation`, one of cosign's short names (`cmd/cosign/cli/options/predicate.go`),
/// else the text itself, which has to be a URI.
pub fn predicate_type(text: &str) -> Option<&str> {
    Some(match text {
        "slsaprovenance1" => "https://slsa.dev/provenance/v1",
        "slsaprovenance" | "slsaprovenance02" => "https://slsa.dev/provenance/v0.2",
        "cyclonedx" => "https://cyclonedx.org/bom",
        "spdx" | "spdxjson" => "https://spdx.dev/Document",
        "link" => "https://in-toto.io/Link/v1",
        "vuln" => "https://cosign.sigstore.dev/attestation/vuln/v1",
        "openvex" => "https://openvex.dev/ns",
        "evaluation" => EVALUATION,
        "custom" => "https://cosign.sigstore.dev/attestation/v1",
        uri if uri.contains("://") && !uri.contains(char::is_whitespace) => uri,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_a_short_name_or_a_uri() {
        assert_eq!(predicate_type("slsaprovenance1"), Some("https://slsa.dev/provenance/v1"));
        assert_eq!(predicate_type("https://example.org/x/v1"), Some("https://example.org/x/v1"));
        assert_eq!(predicate_type("slsa"), None);
        assert_eq!(predicate_type("https://example.org/a b"), None);
    }
}
