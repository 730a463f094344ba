//! Content on its way here, from where the last attempt ended: over one connection, or over several.

mod disk;
mod parallel;
mod part_queue;
mod progress;
mod resumable;

pub(super) use parallel::ParallelDownload;
pub(crate) use resumable::{ResumableDownload, Source};
