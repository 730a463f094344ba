//! What is known of registries that do not do all that the specification says, by the names of
//! their hosts.
//!
//! Whatever can be found out from a registry's answers is not here: one that refuses a whole blob
//! gets chunks, one that forgets an upload gets it again, one that lists no referrers has them
//! listed under a tag.

/// How uploads to a registry differ from the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quirks {
    /// The registry, as people call it.
    pub(super) name: &'static str,
    /// Whether an upload that broke off may go on with a PATCH; else it begins anew.
    pub(super) can_resume: bool,
    /// The most bytes that one PATCH may have.
    pub(super) max_chunk: Option<u64>,
    /// The fewest bytes that every PATCH but the last must have, where the registry does not say it
    /// itself.
    pub(super) min_chunk: u64,
}

const MIB: u64 = 1024 * 1024;
const NONE: Quirks = Quirks { name: "", can_resume: true, max_chunk: None, min_chunk: 0 };

/// Hosts, as a suffix or, without a dot in front, as a whole; and what is known of them.
const KNOWN: [(&str, Quirks); 8] = [
    // 416 for a PATCH of more than 4 MiB.
    ("ghcr.io", Quirks { name: "GitHub", max_chunk: Some(4 * MIB), ..NONE }),
    // No uploads in chunks, so none that goes on.
    ("gcr.io", Quirks { name: "Google", can_resume: false, ..NONE }),
    (".gcr.io", Quirks { name: "Google", can_resume: false, ..NONE }),
    (".pkg.dev", Quirks { name: "Google", can_resume: false, ..NONE }),
    // Parts are those of its object store: 5 MiB at least; a PATCH is answered with 201.
    (".amazonaws.com", Quirks { name: "Amazon", min_chunk: 5 * MIB, ..NONE }),
    (".amazonaws.com.cn", Quirks { name: "Amazon", min_chunk: 5 * MIB, ..NONE }),
    ("public.ecr.aws", Quirks { name: "Amazon", min_chunk: 5 * MIB, ..NONE }),
    // Nothing but its logins: an identity token is exchanged for access tokens.
    (".azurecr.io", Quirks { name: "Azure", ..NONE }),
];

impl Quirks {
    /// What is known of a registry, by its name in references.
    pub(super) fn of(registry: &str) -> Self {
        let host =
            registry.rsplit_once(':').map_or(registry, |(host, _)| host).to_ascii_lowercase();
        let is = |known: &str| {
            if known.starts_with('.') { host.ends_with(known) } else { host == known }
        };
        KNOWN.iter().find(|(known, _)| is(known)).map_or(NONE, |(_, quirks)| *quirks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_hosts() {
        let cases = [
            ("ghcr.io", "GitHub"),
            ("GHCR.io:443", "GitHub"),
            ("eu.gcr.io", "Google"),
            ("gcr.io", "Google"),
            ("europe-west1-docker.pkg.dev", "Google"),
            ("1234.dkr.ecr.eu-central-1.amazonaws.com", "Amazon"),
            ("public.ecr.aws", "Amazon"),
            ("team.azurecr.io", "Azure"),
            ("notghcr.io", ""),
            ("ghcr.io.evil.test", ""),
            ("pkg.dev", ""),
            ("localhost:5000", ""),
        ];
        for (host, name) in cases {
            assert_eq!(Quirks::of(host).name, name, "{host}");
        }
    }
}
