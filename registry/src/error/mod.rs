//! The one error type of this crate, and what can go wrong in each room.

#[cfg(feature = "client")]
mod client;
mod content;
#[cfg(feature = "hub")]
mod hub;
mod layout;
mod userinfo;

use std::io;

#[cfg(feature = "client")]
pub use client::{AuthError, ClientError, HttpError};
pub use content::ContentError;
#[cfg(feature = "hub")]
pub use hub::HubError;
pub use layout::LayoutError;
pub use userinfo::without_userinfo;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A number of bytes, as a sentence has it.
fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

/// Says what was being done, to what, and keeps the cause as its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written; the path rides inside.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A text is not a reference.
    #[error("`{text}` is not a reference: {reason}")]
    InvalidReference {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A certificate or a key could not be used.
    #[cfg(any(feature = "client", feature = "server"))]
    #[error("cannot use the certificate {}", path.display())]
    Certificate {
        /// Its file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A line in a file of users is not one.
    #[cfg(feature = "server")]
    #[error("line {line} of {} is no user: {reason}", path.display())]
    InvalidUsers {
        /// The file.
        path: std::path::PathBuf,
        /// The line's number, from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// Content is not what it should be.
    #[error(transparent)]
    Content(#[from] ContentError),

    /// A layout refuses something.
    #[error(transparent)]
    Layout(#[from] LayoutError),

    /// A request failed.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Http(#[from] HttpError),

    /// Credentials were refused, or kept back.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Auth(#[from] AuthError),

    /// A registry does not give or take something.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Client(#[from] ClientError),

    /// A hub does not give something.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] HubError),
}
