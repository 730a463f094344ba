//! Names content, keeps it on disk as an OCI image layout, and moves it over the wire.
//!
//! ```rust
#![doc = include_str!("../examples/layout.rs")]
//! ```
//!
//! This crate knows descriptors and the graphs they form; it has no word for Kitfiles, ModelKits or Kubernetes.
//!
//! | module | what it holds | feature |
//! |---|---|---|
//! | [`content`] | OCI documents, digests, and the one encoder | – |
//! | [`reference`](mod@reference) | names of manifests, in KitOps' grammar | – |
//! | [`layout`] | an OCI image layout on disk | – |
//! | `client` | push and pull over the distribution protocol | `client` |
//! | `server` | the embedded registry: a layout with a door | `server` |
//! | `hub` | Hugging Face's hub: a client, and a door | `hub`, `server` |

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
    Client, ClientOptions, Credential, CredentialFile, Credentials, Direction, Event, How, Pulled,
    Pushed, RepositoryBlobs, pull, push,
};
pub use content::{Descriptor, Digest, MediaType};
pub use error::{Error, Result};
pub use layout::{BlobWriter, Collected, Hold, Layout, PieceWriter, Verified};
pub use reference::Reference;
