//! What registries are shown who ask.

use std::fmt;

mod entry;
mod file;
mod helper;

pub use file::CredentialFile;

/// A secret that a registry, or its token service, takes.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others (an identity token, or refresh token).
    Identity(String),
    /// A token that is shown as it is (a registry token).
    Bearer(String),
}

/// Never shows the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username}, …)"),
            Self::Identity(_) => write!(f, "Identity(…)"),
            Self::Bearer(_) => write!(f, "Bearer(…)"),
        }
    }
}

/// Knows the credentials of registries.
pub trait Credentials: Send + Sync {
    /// Returns the credential for a registry, `host` or `host:port` as references say it.
    /// It may take its time: it is called on a thread that may wait.
    fn lookup(&self, registry: &str) -> Option<Credential>;

    /// Returns the credential for one repository of a registry, where there are others than for the
    /// whole.
    fn lookup_for(&self, registry: &str, repository: &str) -> Option<Credential> {
        let _ = repository;
        self.lookup(registry)
    }
}
