//! How the threads of the cluster wake one another, so that nobody spins and nobody oversleeps.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts changes; whoever waits is woken by the next one.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    count: Mutex<u64>,
    another: Condvar,
}

impl Changes {
    /// Tells every waiter that something changed.
    pub(crate) fn notify(&self) {
        *locked(&self.count) += 1;
        self.another.notify_all();
    }

    /// How many there were: to be read before looking at the state that one then waits to change.
    pub(crate) fn count(&self) -> u64 {
        *locked(&self.count)
    }

    /// Sleeps until there was another since `seen`, or for `at_most`.
    pub(crate) fn wait(&self, seen: u64, at_most: Duration) {
        let count = locked(&self.count);
        let _ = self.another.wait_timeout_while(count, at_most, |count| *count == seen);
    }
}

/// Locks a mutex, also after a thread panicked while it held it: the state inside is then as good
/// as any that a test can look at.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
