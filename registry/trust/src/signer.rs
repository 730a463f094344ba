//! Whose signature counts.

use crate::certificate::{Chain, Roots};
use crate::{Error, PublicKey, Result};

/// Whose signature counts: that of a key, or of whoever a root vouches for.
#[derive(Clone, Debug)]
pub enum Signer {
    /// The holder of this key.
    Key(PublicKey),
    /// Whoever shows a certificate that one of these vouches for.
    Roots(Roots),
}

impl Signer {
    /// How it is called: `the key SHA256:…`, or `a certificate under the root SHA256:…`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Key(key) => format!("the key {}", key.fingerprint()),
            Self::Roots(roots) => format!("a certificate under the root {}", roots.fingerprint()),
        }
    }

    /// The key by which a signature is checked that brings these certificates.
    pub(crate) fn key(&self, chain: Option<&Chain>) -> Result<PublicKey> {
        match (self, chain) {
            (Self::Key(key), _) => Ok(key.clone()),
            (Self::Roots(roots), Some(chain)) => roots.key_of(chain),
            (Self::Roots(_), None) => Err(Error::refused("it brings no certificate")),
        }
    }
}

impl From<&PublicKey> for Signer {
    fn from(key: &PublicKey) -> Self {
        Self::Key(key.clone())
    }
}

impl From<&Self> for Signer {
    fn from(signer: &Self) -> Self {
        signer.clone()
    }
}
