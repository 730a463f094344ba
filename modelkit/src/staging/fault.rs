//! Faults, for tests: any system call on the way into a user's folder fails, or is the last one.

use std::io;

/// Stands before a system call that may fail.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "it fails in tests")]
pub(crate) fn point() -> io::Result<()> {
    Ok(())
}

/// Whether the process is to be thought of as killed: it does nothing any more.
#[cfg(not(test))]
pub(super) fn is_killed() -> bool {
    false
}

#[cfg(test)]
pub(crate) use in_tests::{Fault, is_killed, point, with};

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;

    use super::io;

    /// What happens to the calls of this thread.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Fault {
        /// The call of this number fails, and those after it do not.
        Fails(u64),
        /// Before the call of this number the process is killed.
        Killed(u64),
    }

    thread_local! {
        static NOW: Cell<Option<(Fault, u64)>> = const { Cell::new(None) };
    }

    pub(crate) fn point() -> io::Result<()> {
        let Some((fault, n)) = NOW.get() else { return Ok(()) };
        NOW.set(Some((fault, n + 1)));
        match fault {
            Fault::Fails(at) if n == at => Err(io::Error::other("injected")),
            Fault::Killed(at) if n >= at => Err(io::Error::other("killed")),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_killed() -> bool {
        matches!(NOW.get(), Some((Fault::Killed(at), n)) if n > at)
    }

    /// Does something under a fault; says whether it came to it.
    pub(crate) fn with<T>(fault: Fault, work: impl FnOnce() -> T) -> (T, bool) {
        NOW.set(Some((fault, 0)));
        let done = work();
        let (Fault::Fails(at) | Fault::Killed(at)) = fault;
        let came_to_it = NOW.take().is_some_and(|(_, n)| n > at);
        (done, came_to_it)
    }
}
