//! What can go wrong with a hub.

/// What a hub does not give, or what is not taken from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A token would be sent for everyone on the way to read.
    #[error("the token is not sent to {endpoint} over plain HTTP")]
    PlainToken {
        /// The hub.
        endpoint: String,
    },

    /// A token holds characters that no token has.
    #[error("the token holds characters that cannot be sent")]
    InvalidToken,

    /// A text does not name a repository of a hub.
    #[error("`{text}` is not the name of a repository on a hub: {reason}")]
    InvalidRepoId {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A hub has no such repository, or does not show it to strangers.
    #[error("{repo} is not on the hub, or not visible without another token")]
    UnknownRepo {
        /// The repository.
        repo: String,
    },

    /// A repository is only given to those who have agreed to its terms.
    #[error("{repo} is gated: its terms must be accepted on the hub, and a token given")]
    GatedRepo {
        /// The repository.
        repo: String,
    },

    /// A repository has no such revision.
    #[error("{repo} has no revision `{revision}`")]
    UnknownRevision {
        /// The repository.
        repo: String,
        /// The revision asked for.
        revision: String,
    },

    /// A hub, mostly a mirror of one, says too little of a repository to take it over.
    #[error("{endpoint} says too little of {repo}: {what}")]
    SaysTooLittle {
        /// The hub.
        endpoint: String,
        /// The repository.
        repo: String,
        /// What is missing.
        what: String,
    },

    /// A repository has no such file.
    #[error("{repo} has no file `{path}`")]
    UnknownFile {
        /// The repository.
        repo: String,
        /// The file asked for.
        path: String,
    },

    /// A hub lists a file whose path could lead out of a folder.
    #[error("{repo} lists a file that is not safe to write: `{path}`")]
    UnsafePath {
        /// The repository.
        repo: String,
        /// The path as listed.
        path: String,
    },

    /// Another download brings the same file to the same place.
    #[error("file `{path}` of {repo} is being downloaded by somebody else: wait for it to end")]
    DownloadUnderWay {
        /// The repository.
        repo: String,
        /// The file.
        path: String,
    },

    /// A file from a hub is not what its listing says.
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
