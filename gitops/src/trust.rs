//! What a cluster asks of what it runs, beside what `gitops render` checks itself.

use std::collections::BTreeSet;
use std::fmt;

/// Whose signatures a cluster asks for, and where it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Public keys in PEM: any of them will do. Flux takes an artifact only if one of them has
    /// signed it.
    pub keys: Vec<String>,
    /// What the API server is told to refuse.
    pub admission: BTreeSet<Admission>,
    /// Whether the server itself looks at the model that it finds: that it is the ModelKit which the
    /// pod's annotation names, and, with keys, that one of them has signed the files.
    pub checks_model: bool,
}

/// What the API server is told to refuse, in the namespace of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Images without a digest, those of volumes among them: by a ValidatingAdmissionPolicy of
    /// Kubernetes.
    Digests,
    /// Images that none of the keys has signed: by a policy of Kyverno's, which has to be there.
    Kyverno,
}

impl Admission {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Digests, Self::Kyverno];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digests => "digests",
            Self::Kyverno => "kyverno",
        }
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
