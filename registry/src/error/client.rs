//! What can go wrong on the wire: between two machines, with credentials, and with content.

use std::time::Duration;

use super::bytes;
use crate::Reference;
use crate::content::Digest;

/// An error of another crate, or of this one.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A request that got no answer, or not the one that it should have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A text is not the address of a registry or of something in it.
    #[error("`{text}` is not an address")]
    InvalidAddress {
        /// The text as given.
        text: String,
    },

    /// A registry is named by an address.
    #[error("`{text}` has a scheme, and a registry is named without one: write {host}")]
    HasScheme {
        /// The text as given.
        text: String,
        /// What follows the scheme.
        host: String,
    },

    /// A client could not be made: mostly, the proxy's address is wrong.
    #[error("cannot set up the client")]
    Setup {
        /// Why not.
        #[source]
        source: Cause,
    },

    /// A request got no answer, or its answer broke off.
    #[error("cannot {method} {url}")]
    Request {
        /// The method.
        method: String,
        /// The address, without its query.
        url: String,
        /// What went wrong.
        #[source]
        source: Cause,
    },

    /// A server shows a certificate that nobody vouches for, or that is not its own.
    #[error("the certificate that {url} shows is not trusted")]
    UntrustedCertificate {
        /// The address, without its query.
        url: String,
        /// Why not.
        #[source]
        source: Cause,
    },

    /// A transfer stood still for too long.
    #[error("nothing has moved from or to {url} for {seconds} s")]
    Stalled {
        /// The address, without its query.
        url: String,
        /// The patience.
        seconds: f32,
    },

    /// A transfer ended early.
    #[error("{url} ended after {}", bytes(*received))]
    Cut {
        /// The address, without its query.
        url: String,
        /// The bytes that came.
        received: u64,
    },

    /// A server answered with an error.
    #[error("{url} answered {status}{}{reasons}{}", if reasons.is_empty() { "" } else { ": " }, later(*retry_after))]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// The reasons that it gives, in one line.
        reasons: String,
    },

    /// A redirect is not followed.
    #[error("the redirect from {url} is not followed: {reason}")]
    Redirect {
        /// Where it came from, without its query.
        url: String,
        /// Why not.
        reason: String,
    },

    /// An answer is not what the protocol says.
    #[error("{url} does not follow the protocol: {reason}")]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// When a server wants to be asked again.
fn later(retry_after: Option<Duration>) -> String {
    match retry_after.map(|wait| wait.as_secs()).filter(|seconds| *seconds > 0) {
        Some(seconds) => format!(" (it asks to be left alone for {seconds} s)"),
        None => String::new(),
    }
}

impl HttpError {
    /// An answer from `url` that is not what the protocol says.
    pub(crate) fn protocol(url: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Protocol { url: url.into(), reason: reason.into() }
    }
}

/// Credentials that are missing, refused, or kept back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A registry wants to see credentials, and there are none for it.
    #[error("{registry} asks for credentials, and there are none for it")]
    NotLoggedIn {
        /// The registry.
        registry: String,
    },

    /// A registry, or its token service, does not take the credentials.
    #[error("{registry} does not accept the credentials{}{reasons}", if reasons.is_empty() { "" } else { ": " })]
    Denied {
        /// The registry.
        registry: String,
        /// The reasons that it gives, in one line.
        reasons: String,
    },

    /// A credential is of a kind that the registry does not ask for.
    #[error("the credential for {registry} is not of the kind that it asks for")]
    UnusableCredential {
        /// The registry.
        registry: String,
    },

    /// A registry asks for credentials in an unknown way.
    #[error("{registry} asks for credentials in a way that is neither Basic nor Bearer")]
    UnknownChallenge {
        /// The registry.
        registry: String,
    },

    /// The credentials of a registry stay here, because its token service is another host
    /// (CVE-2026-33990).
    #[error("the token service {realm} is not one that {registry} is known to use")]
    UntrustedRealm {
        /// The registry.
        registry: String,
        /// The address of the token service.
        realm: String,
    },

    /// A token service gives no token.
    #[error("the token service {realm} of {registry} {reason}")]
    Token {
        /// The registry.
        registry: String,
        /// The address of the token service.
        realm: String,
        /// What it does instead.
        reason: String,
    },

    /// A program that keeps credentials failed.
    #[error("docker-credential-{name} failed: {reason}")]
    CredentialHelper {
        /// Its name, without the prefix.
        name: String,
        /// What it says.
        reason: String,
    },
}

/// Content that a registry does not give or take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A registry has nothing under a reference.
    #[error("{reference} is not in its registry")]
    UnknownManifest {
        /// The reference asked for.
        reference: Box<Reference>,
    },

    /// A registry deletes nothing, neither by tag nor by digest.
    #[error("{reference} cannot be deleted: its registry does not allow it")]
    Undeletable {
        /// What should have been deleted.
        reference: Box<Reference>,
        /// What the registry answered.
        #[source]
        source: Cause,
    },

    /// A registry lacks something that one of its manifests names.
    #[error("{digest} is missing in {repository}")]
    UnknownBlob {
        /// What is missing.
        digest: Digest,
        /// Where it should be.
        repository: String,
    },

    /// A blob from a registry is not what its descriptor says.
    #[error("blob {digest} of {repository} does not have the content its digest promises")]
    WrongBlob {
        /// The blob.
        digest: Digest,
        /// Where it came from.
        repository: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },

    /// A manifest from a registry is not what its digest says.
    #[error("manifest {digest} of {repository} does not have the content its digest promises")]
    WrongManifest {
        /// The manifest.
        digest: Digest,
        /// Where it came from.
        repository: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },

    /// A blob could not be downloaded.
    #[error("cannot download blob {digest} of {repository}")]
    Download {
        /// The blob.
        digest: Digest,
        /// Where it lies.
        repository: String,
        /// Why not.
        #[source]
        source: Cause,
    },

    /// A blob could not be uploaded.
    #[error("cannot upload blob {digest} to {repository}")]
    Upload {
        /// The blob.
        digest: Digest,
        /// Where it should go.
        repository: String,
        /// Why not.
        #[source]
        source: Cause,
    },
}
