//! Work on threads that may wait.

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Layout, Result};

/// Waits for work on another thread.
pub(crate) async fn joined<T>(work: JoinHandle<Result<T>>) -> Result<T> {
    match work.await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Does something on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(spawn_blocking(work)).await
}

/// Does something with the layout on a thread that may wait for the disk.
pub(super) async fn in_layout<T: Send + 'static>(
    layout: &Layout,
    work: impl FnOnce(&Layout) -> Result<T> + Send + 'static,
) -> Result<T> {
    let layout = layout.clone();
    blocking(move || work(&layout)).await
}
