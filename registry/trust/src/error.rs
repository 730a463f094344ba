//! What can be wrong with keys and signatures.

use registry::content::Digest;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with keys and signatures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is no key that could be used.
    #[error("this is no {what}: {problem}")]
    Key {
        /// What was expected.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A private key is encrypted, and no password was given.
    #[error("the private key is encrypted, and no password was given")]
    NoPassword,
    /// The password is not that of the private key.
    #[error("the password does not open the private key")]
    WrongPassword,
    /// Nothing there was signed by the key.
    #[error("{digest} has no signature of {signer}{}", list(.found))]
    Unsigned {
        /// What should be signed.
        digest: Digest,
        /// Who should have signed, by the fingerprint.
        signer: String,
        /// What was found instead.
        found: Vec<String>,
    },
    /// The holder of the key says nothing of this kind of it.
    #[error("{digest} has no attestation of the type {predicate_type} by {signer}{}", list(.found))]
    Unattested {
        /// What should be attested.
        digest: Box<Digest>,
        /// What kind of statement.
        predicate_type: String,
        /// Who should have signed, by the fingerprint.
        signer: String,
        /// What was found instead.
        found: Vec<String>,
    },
    /// A name without a registry, beside which nothing could be signed.
    #[error("{reference} names no registry, where signatures are")]
    Local {
        /// The name.
        reference: String,
    },
    /// A policy cannot be read.
    #[error("the policy cannot be used: {0}")]
    Policy(String),
    /// Nobody whom a policy names has signed the files of a folder.
    #[error("the files of {dir} are signed by nobody whom the policy names{}", list(.found))]
    UnsignedFolder {
        /// The folder.
        dir: String,
        /// What was found instead.
        found: Vec<String>,
    },
    /// Model files are not what was signed.
    #[error("the files are not those that were signed: {}", .differences.join("; "))]
    Files {
        /// Each difference, with its path.
        differences: Vec<String>,
    },
    /// A signature is damaged, of another kind, or not made by the key.
    #[error("{0}")]
    Refused(String),
    /// The registry's side.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::Refused(what.into())
    }
}

fn list(found: &[String]) -> String {
    match found {
        [] => String::new(),
        found => format!("; found: {}", found.join("; ")),
    }
}
