//! How many threads compute.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A pool of its own where a number was asked for; else the one that the process shares.
pub(super) struct Threads(Option<ThreadPool>);

impl Threads {
    pub(super) fn new(count: Option<usize>) -> Result<Self> {
        let start = |count| ThreadPoolBuilder::new().num_threads(count).build();
        let pool = count.map(start).transpose().map_err(|source| Error::Threads { source })?;
        Ok(Self(pool))
    }

    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads)
    }

    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
