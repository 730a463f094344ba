//! Hugging Face's hub: a client, and a server for a folder of models.
//!
//! The client pages through listings, resumes, and verifies; the server speaks to the official client
//! as well as to ours.

#[cfg(feature = "hub")]
mod content_name;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod framed;
mod git_blob;
#[cfg(feature = "hub")]
mod head;
#[cfg(feature = "hub")]
mod listing;
#[cfg(feature = "hub")]
mod refusal;
#[cfg(feature = "hub")]
mod repo_id;
#[cfg(feature = "hub")]
mod segments;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "hub")]
mod snapshot;

#[cfg(feature = "hub")]
pub use framed::Frame;
#[cfg(feature = "hub")]
pub use repo_id::{RepoId, RepoKind};
#[cfg(feature = "server")]
pub use server::{router, router_with};
#[cfg(feature = "hub")]
pub use snapshot::{Hub, HubFile, Snapshot};
