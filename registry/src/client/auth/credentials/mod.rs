//! What registries are shown who ask.

use std::collections::BTreeMap;
use std::fmt;

mod entry;
mod file;
mod helper;
mod secret;

pub use file::CredentialFile;
pub use secret::Secret;

/// A secret that a registry, or its token service, takes.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token that is exchanged for others (an identity token, or refresh token).
    Identity(Secret),
    /// A token that is shown as it is (a registry token).
    Bearer(Secret),
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
    /// Returns the credential for a registry, `host` or `host:port` as references say it; for one of
    /// its repositories, where there are others than for the whole.
    /// It may take its time: it is called on a thread that may wait.
    ///
    /// # Errors
    /// Where credentials are kept cannot be read. The registry is asked without any, and the error is
    /// a [warning](crate::Client::take_warnings).
    fn lookup(&self, registry: &str, repository: Option<&str>)
    -> crate::Result<Option<Credential>>;
}

/// By the name of the registry, for a program that has them at hand.
impl Credentials for BTreeMap<String, Credential> {
    fn lookup(&self, registry: &str, _: Option<&str>) -> crate::Result<Option<Credential>> {
        Ok(self.get(registry).cloned())
    }
}
