//! Blobs on their way to a registry, from where the last attempt ended.

mod push_blob;
mod resumable;
mod saved_session;
mod session;

pub(super) use push_blob::{mount_blob, push_blob};
pub(super) use session::{FINISHED, same_digest};
