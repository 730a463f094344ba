//! The one error type of this crate.

use std::{io, path::PathBuf};

use crate::content::Digest;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of another crate.
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Says what was being done, to what, and keeps the cause as its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written; the path rides inside.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A text is not a digest that content can be stored under.
    #[error("`{text}` is not a digest: {reason}")]
    InvalidDigest {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A text is not a reference.
    #[error("`{text}` is not a reference: {reason}")]
    InvalidReference {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A document is not the JSON that its media type promises.
    #[error("cannot read {what}")]
    InvalidDocument {
        /// The document: its digest, or its path.
        what: String,
        /// Where the JSON goes wrong.
        #[source]
        source: serde_json::Error,
    },

    /// A document could be taken for two kinds of manifest (CVE-2021-41190).
    #[error("{what} is ambiguous: {reason}")]
    AmbiguousManifest {
        /// The manifest: its digest.
        what: String,
        /// The two readings.
        reason: String,
    },

    /// A manifest has a media type that is no manifest's.
    #[error("`{media_type}` is not the media type of a manifest")]
    NotAManifest {
        /// The media type as given.
        media_type: String,
    },

    /// A document is larger than any document may be.
    #[error("{what} has {size} bytes, more than the {limit} that a document may have")]
    TooLarge {
        /// The document: its digest, or its path.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// A blob is not in the layout.
    #[error("blob {digest} is missing: there is no {}", path.display())]
    MissingBlob {
        /// The blob that is missing.
        digest: Digest,
        /// Where it would lie.
        path: PathBuf,
    },

    /// Content has another size than its descriptor says.
    #[error("{what} should have {expected} bytes and has {found}")]
    WrongSize {
        /// The blob, and its path where it has one.
        what: String,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The content's size in bytes.
        found: u64,
    },

    /// Content has another digest than its descriptor says.
    #[error("{what} should be {expected} and is {found}")]
    WrongDigest {
        /// The blob's path, or what it was to become.
        what: String,
        /// The descriptor's digest.
        expected: Digest,
        /// The content's digest.
        found: Digest,
    },

    /// Nothing is known under a reference.
    #[error("{reference} is not in the layout {}", root.display())]
    UnknownReference {
        /// The reference asked for.
        reference: Box<crate::Reference>,
        /// The layout's folder.
        root: PathBuf,
    },

    /// A reference names no tag where one is needed.
    #[error("{reference} names no tag")]
    NoTag {
        /// The reference as given.
        reference: Box<crate::Reference>,
    },

    /// A folder holds another version of the image layout.
    #[error("{} is an image layout of version {found}, not 1.0.0", root.display())]
    LayoutVersion {
        /// The layout's folder.
        root: PathBuf,
        /// The version it says.
        found: String,
    },

    /// A layout is being added to, so nothing can be collected now.
    #[error("the layout {} is being added to by another task", root.display())]
    InUse {
        /// The layout's folder.
        root: PathBuf,
    },

    /// A text is not the address of a registry or of something in it.
    #[cfg(feature = "client")]
    #[error("`{text}` is not an address")]
    InvalidAddress {
        /// The text as given.
        text: String,
    },

    /// A certificate or a key could not be used.
    #[cfg(any(feature = "client", feature = "server"))]
    #[error("cannot use the certificate {}", path.display())]
    Certificate {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Cause,
    },

    /// A line in a file of users is not one.
    #[cfg(feature = "server")]
    #[error("line {line} of {} is no user: {reason}", path.display())]
    InvalidUsers {
        /// The file.
        path: PathBuf,
        /// The line's number, from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// A client could not be made: mostly, the proxy's address is wrong.
    #[cfg(feature = "client")]
    #[error("cannot set up the client")]
    ClientSetup {
        /// Why not.
        #[source]
        source: Cause,
    },

    /// A request got no answer, or its answer broke off.
    #[cfg(feature = "client")]
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

    /// A transfer stood still for too long.
    #[cfg(feature = "client")]
    #[error("nothing has moved from or to {url} for {seconds} seconds")]
    Stalled {
        /// The address, without its query.
        url: String,
        /// The patience.
        seconds: f32,
    },

    /// A transfer ended early.
    #[cfg(feature = "client")]
    #[error("{url} ended after {received} bytes")]
    Cut {
        /// The address, without its query.
        url: String,
        /// The bytes that came.
        received: u64,
    },

    /// A server answered with an error.
    #[cfg(feature = "client")]
    #[error("{url} answered {status}{}{reasons}", if reasons.is_empty() { "" } else { ": " })]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<std::time::Duration>,
        /// The reasons that it gives, in one line.
        reasons: String,
    },

    /// A redirect is not followed.
    #[cfg(feature = "client")]
    #[error("the redirect from {url} is not followed: {reason}")]
    Redirect {
        /// Where it came from, without its query.
        url: String,
        /// Why not.
        reason: String,
    },

    /// An answer is not what the protocol says.
    #[cfg(feature = "client")]
    #[error("{url} does not follow the protocol: {reason}")]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What is wrong.
        reason: String,
    },

    /// A registry wants to see credentials, and there are none for it.
    #[cfg(feature = "client")]
    #[error("{registry} asks for credentials, and there are none for it")]
    NotLoggedIn {
        /// The registry.
        registry: String,
    },

    /// A registry, or its token service, does not take the credentials.
    #[cfg(feature = "client")]
    #[error("{registry} does not accept the credentials{}{reasons}", if reasons.is_empty() { "" } else { ": " })]
    Denied {
        /// The registry.
        registry: String,
        /// The reasons that it gives, in one line.
        reasons: String,
    },

    /// A credential is of a kind that the registry does not ask for.
    #[cfg(feature = "client")]
    #[error("the credential for {registry} is not of the kind that it asks for")]
    UnusableCredential {
        /// The registry.
        registry: String,
    },

    /// A registry asks for credentials in an unknown way.
    #[cfg(feature = "client")]
    #[error("{registry} asks for credentials in a way that is neither Basic nor Bearer")]
    UnknownChallenge {
        /// The registry.
        registry: String,
    },

    /// The credentials of a registry stay here, because its token service is another host
    /// (CVE-2026-33990).
    #[cfg(feature = "client")]
    #[error("the token service {realm} is not one that {registry} is known to use")]
    UntrustedRealm {
        /// The registry.
        registry: String,
        /// The address of the token service.
        realm: String,
    },

    /// A token service gives no token.
    #[cfg(feature = "client")]
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
    #[cfg(feature = "client")]
    #[error("docker-credential-{name} failed: {reason}")]
    CredentialHelper {
        /// Its name, without the prefix.
        name: String,
        /// What it says.
        reason: String,
    },

    /// A registry has nothing under a reference.
    #[cfg(feature = "client")]
    #[error("{reference} is not in its registry")]
    UnknownManifest {
        /// The reference asked for.
        reference: Box<crate::Reference>,
    },

    /// A registry lacks something that one of its manifests names.
    #[cfg(feature = "client")]
    #[error("{digest} is missing in {repository}")]
    UnknownBlob {
        /// What is missing.
        digest: Digest,
        /// Where it should be.
        repository: String,
    },

    /// A blob from a registry is not what its descriptor says.
    #[cfg(feature = "client")]
    #[error("blob {digest} of {repository} does not have the content its digest promises")]
    WrongBlob {
        /// The blob.
        digest: Digest,
        /// Where it came from.
        repository: String,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },

    /// A manifest from a registry is not what its digest says.
    #[cfg(feature = "client")]
    #[error("manifest {digest} of {repository} does not have the content its digest promises")]
    WrongManifest {
        /// The manifest.
        digest: Digest,
        /// Where it came from.
        repository: String,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },

    /// A blob could not be downloaded.
    #[cfg(feature = "client")]
    #[error("cannot download blob {digest} of {repository}")]
    Download {
        /// The blob.
        digest: Digest,
        /// Where it lies.
        repository: String,
        /// Why not.
        #[source]
        source: Box<Self>,
    },

    /// A blob could not be uploaded.
    #[cfg(feature = "client")]
    #[error("cannot upload blob {digest} to {repository}")]
    Upload {
        /// The blob.
        digest: Digest,
        /// Where it should go.
        repository: String,
        /// Why not.
        #[source]
        source: Box<Self>,
    },

    /// A token would be sent for everyone on the way to read.
    #[cfg(feature = "hub")]
    #[error("the token is not sent to {endpoint} over plain HTTP")]
    PlainToken {
        /// The hub.
        endpoint: String,
    },

    /// A token holds characters that no token has.
    #[cfg(feature = "hub")]
    #[error("the token holds characters that cannot be sent")]
    InvalidToken,

    /// A text does not name a repository of a hub.
    #[cfg(feature = "hub")]
    #[error("`{text}` is not the name of a repository on a hub: {reason}")]
    InvalidRepoId {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A hub has no such repository, or does not show it to strangers.
    #[cfg(feature = "hub")]
    #[error("{repo} is not on the hub, or not visible without another token")]
    UnknownRepo {
        /// The repository.
        repo: String,
    },

    /// A repository is only given to those who have agreed to its terms.
    #[cfg(feature = "hub")]
    #[error("{repo} is gated: its terms must be accepted on the hub, and a token given")]
    GatedRepo {
        /// The repository.
        repo: String,
    },

    /// A repository has no such revision.
    #[cfg(feature = "hub")]
    #[error("{repo} has no revision `{revision}`")]
    UnknownRevision {
        /// The repository.
        repo: String,
        /// The revision asked for.
        revision: String,
    },

    /// A repository has no such file.
    #[cfg(feature = "hub")]
    #[error("{repo} has no file `{path}`")]
    UnknownFile {
        /// The repository.
        repo: String,
        /// The file asked for.
        path: String,
    },

    /// A hub lists a file whose path could lead out of a folder.
    #[cfg(feature = "hub")]
    #[error("{repo} lists a file that is not safe to write: `{path}`")]
    UnsafePath {
        /// The repository.
        repo: String,
        /// The path as listed.
        path: String,
    },

    /// Another download brings the same file to the same place.
    #[cfg(feature = "hub")]
    #[error("file `{path}` of {repo} is being downloaded by somebody else: wait for it to end")]
    DownloadUnderWay {
        /// The repository.
        repo: String,
        /// The file.
        path: String,
    },

    /// A file from a hub is not what its listing says.
    #[cfg(feature = "hub")]
    #[error("file `{path}` of {repo} is not what the hub lists: {reason}")]
    WrongFile {
        /// The repository.
        repo: String,
        /// The file.
        path: String,
        /// What differs.
        reason: String,
    },
}
