#![doc = include_str!("../README.md")]

mod blobs;
pub mod content;
pub mod layout;
pub mod reference;

#[cfg(feature = "client")]
pub mod client;
#[cfg(any(feature = "hub", feature = "server"))]
pub mod hub;
#[cfg(feature = "server")]
pub mod server;

#[cfg(feature = "client")]
mod blocks;
mod error;
#[cfg(any(feature = "client", feature = "server"))]
mod file_stream;

pub use blobs::Blobs;
#[cfg(feature = "client")]
pub use client::{
    Client, ClientCertificate, ClientOptions, Copied, Credential, CredentialFile, Credentials,
    Direction, Event, Listener, OnWait, Outcome, Proxy, Pulled, Pushed, RepositoryBlobs, Secret,
    copy, pull, push,
};
pub use content::{Descriptor, Digest, MediaType};
#[cfg(feature = "hub")]
pub use error::HubError;
#[cfg(feature = "client")]
pub use error::{AuthError, ClientError, HttpError};
pub use error::{ContentError, Error, LayoutError, Result, without_userinfo};
pub use layout::{BlobWriter, Collected, Hold, Layout, PieceWriter, Verified};
pub use reference::Reference;
