//! How the threads of the cluster wake one another, so that nobody spins and nobody oversleeps.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Counts changes; whoever waits is woken by the next one.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl Bell {
    /// Tells every waiter that something changed.
    pub(super) fn ring(&self) {
        *locked(&self.rung) += 1;
        self.changed.notify_all();
    }

    /// How often the bell has rung: to be read before looking at the state that one then waits to
    /// change.
    pub(super) fn rung(&self) -> u64 {
        *locked(&self.rung)
    }

    /// Sleeps until the bell has rung since `seen`, or for `at_most`.
    pub(super) fn wait(&self, seen: u64, at_most: Duration) {
        let rung = locked(&self.rung);
        let _ = self.changed.wait_timeout_while(rung, at_most, |rung| *rung == seen);
    }
}

/// Locks a mutex, also after a thread panicked while it held it: the state inside is then as good
/// as any that a test can look at.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
