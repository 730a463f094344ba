//! What can go wrong in a cluster.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use gitops::BoxError;

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What could not be done, and to what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, thread or process could not be had; the cause names it.
    #[error("the operating system refuses")]
    System(#[from] io::Error),
    /// The API's address is not to be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No loopback address is left for a pod.
    #[error("{problem}")]
    Address {
        /// What was tried, and why it failed.
        problem: String,
    },
    /// An object or a tree of files is not what it should be.
    #[error(transparent)]
    Object(#[from] gitops::Error),
    /// A source is no repository.
    #[error("{} is no Git repository to follow", dir.display())]
    NoRepository {
        /// The folder.
        dir: PathBuf,
        /// What Git says of it.
        #[source]
        source: Box<Self>,
    },
    /// A GitRepository has a URL for which no repository stands.
    #[error("no repository on this machine stands for {url}")]
    NoSource {
        /// The URL.
        url: String,
    },
    /// A GitRepository follows something else than a branch.
    #[error("this stand-in follows branches: spec.ref.branch is missing")]
    NoBranch,
    /// A repository has not what was asked for.
    #[error("unable to clone '{url}'")]
    Clone {
        /// Its URL.
        url: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// The repository does not have the branch.
    #[error("couldn't find remote ref \"refs/heads/{branch}\"")]
    RemoteRef {
        /// The branch.
        branch: String,
    },
    /// A branch leads to something else than a SHA-1 commit.
    #[error("{text:?} is not a SHA-1 commit")]
    NotACommit {
        /// What it leads to.
        text: String,
    },
    /// Git cannot be run.
    #[error("cannot run git; is it installed?")]
    NoGit(#[source] io::Error),
    /// Git refused.
    #[error("git: {said}")]
    Git {
        /// What it said.
        said: String,
    },
    /// An image could not be brought.
    #[error(transparent)]
    Image(BoxError),
    /// A path of an image leads out of it.
    #[error("the path {path:?} leaves the image")]
    OutsideImage {
        /// The path as written.
        path: String,
    },
    /// A name is no program of the image.
    #[error("no program {program:?} in the image's PATH {path:?}")]
    NoProgram {
        /// The name.
        program: String,
        /// Where it was looked for.
        path: String,
    },
    /// The image's user is nobody that the image knows.
    #[error("no user {user:?} in the image's /etc/passwd")]
    NoUser {
        /// The user as the image names it.
        user: String,
    },
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program, as its pod sees it.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A Kustomization did not become ready: Flux gave it up, or the time was over.
    #[error("kustomization {kustomization} is not ready: {reason}: {message}{pods}")]
    NotReady {
        /// Its name.
        kustomization: String,
        /// The reason of its condition.
        reason: String,
        /// The message of its condition.
        message: String,
        /// A line for each pod that is not ready.
        pods: String,
    },
    /// There is no such Kustomization.
    #[error("there is no kustomization {kustomization}{pods}")]
    NoKustomization {
        /// Its name.
        kustomization: String,
        /// A line for each pod that is not ready.
        pods: String,
    },
    /// There is no such Service, or it has no address.
    #[error("there is no service {service} with an address")]
    NoService {
        /// Its namespace and name.
        service: String,
    },
}

/// An error with all its causes in one line, as a status message shows it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
