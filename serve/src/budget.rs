//! Bytes that all requests together may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What is left of a number of bytes.
pub(crate) struct Budget(AtomicUsize);

impl Budget {
    pub(crate) fn new(n_bytes: usize) -> Self {
        Self(AtomicUsize::new(n_bytes))
    }

    /// Nothing yet, to be grown.
    pub(crate) fn reserve(&self) -> Reservation<'_> {
        Reservation { budget: self, n_bytes: 0 }
    }
}

/// A part of the budget; given back when it goes.
pub(crate) struct Reservation<'a> {
    budget: &'a Budget,
    n_bytes: usize,
}

impl Reservation<'_> {
    /// Takes more bytes; says whether there were as many.
    pub(crate) fn try_grow(&mut self, n_bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(n_bytes);
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        self.n_bytes += if taken { n_bytes } else { 0 };
        taken
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.n_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.reserve(), budget.reserve());
        assert!(
            first.try_grow(6) && !second.try_grow(5) && second.try_grow(4) && !first.try_grow(1)
        );
        drop(first);
        assert!(second.try_grow(6) && !second.try_grow(1));
    }
}
