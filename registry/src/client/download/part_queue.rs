//! Which connection brings which part of a blob.

use std::collections::VecDeque;
use std::ops::Range;

use crate::blocks::BLOCK;

/// How much one request asks for when several bring one blob, in bytes. Large enough that the wait
/// for an answer does not count, small enough that the hash of the whole, which goes from the start
/// to the end, is never far behind.
const PART: u64 = 32 * BLOCK;

/// The parts of a blob that are still to come. Parts begin at the start of a block, so that no two
/// connections write in one.
#[derive(Debug)]
pub(super) struct PartQueue {
    /// Spans that are cut only as they are taken: a blob's size is somebody's word.
    waiting: VecDeque<Range<u64>>,
    /// What each taker has still to bring.
    taken: Vec<Range<u64>>,
}

impl PartQueue {
    /// Begins with what is missing.
    pub(super) fn new(missing: &[Range<u64>]) -> Self {
        Self { waiting: missing.iter().cloned().collect(), taken: Vec::new() }
    }

    /// Takes the first part that nobody has; returns the taker's number.
    pub(super) fn take(&mut self) -> Option<usize> {
        let part = self.cut()?;
        self.taken.push(part);
        Some(self.taken.len() - 1)
    }

    /// Cuts off the first part that waits.
    fn cut(&mut self) -> Option<Range<u64>> {
        let span = self.waiting.front_mut()?;
        let part = span.start..span.end.min((span.start / PART + 1).saturating_mul(PART));
        span.start = part.end;
        if span.is_empty() {
            self.waiting.pop_front();
        }
        Some(part)
    }

    /// Takes the second half of the longest part that somebody has, when there is no other: so
    /// nobody waits for a slow connection.
    pub(super) fn steal(&mut self) -> Option<usize> {
        let longest =
            self.taken.iter_mut().max_by_key(|part| part.end.saturating_sub(part.start))?;
        let middle = (longest.start + (longest.end - longest.start) / 2).next_multiple_of(BLOCK);
        if middle <= longest.start + BLOCK || middle + BLOCK > longest.end {
            return None;
        }
        let half = middle..longest.end;
        longest.end = middle;
        self.taken.push(half);
        Some(self.taken.len() - 1)
    }

    /// Gives a taker the part behind its own too, when that one waits: the connection goes on.
    pub(super) fn extend(&mut self, taker: usize) -> bool {
        let is_next = self.waiting.front().is_some_and(|next| next.start == self.taken[taker].end);
        if is_next && let Some(next) = self.cut() {
            self.taken[taker].end = next.end;
        }
        is_next
    }

    /// What a taker has still to bring.
    pub(super) fn rest(&self, taker: usize) -> Range<u64> {
        self.taken[taker].clone()
    }

    /// Counts bytes that a taker has brought; returns how many of them are its own.
    pub(super) fn advance(&mut self, taker: usize, n: u64) -> u64 {
        let part = &mut self.taken[taker];
        let own = n.min(part.end - part.start);
        part.start += own;
        own
    }

    /// Lets somebody else bring what a taker has not.
    pub(super) fn give_back(&mut self, taker: usize) {
        let rest = std::mem::replace(&mut self.taken[taker], 0..0);
        if !rest.is_empty() {
            let at = self.waiting.partition_point(|part| part.start < rest.start);
            self.waiting.insert(at, rest);
        }
    }

    #[cfg(test)]
    fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one hole is a list of holes too")]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_brought_once() {
        let size = 5 * PART / 2 + 77;
        let mut queue = PartQueue::new(&[0..BLOCK, 3 * BLOCK..size]);
        let mut brought = vec![0..0u64];
        let mut waiting = vec![queue.take().expect("there is work")];
        let mut n_rounds = 0;
        while let Some(taker) = waiting.pop() {
            n_rounds += 1;
            assert!(n_rounds < 100_000);
            let part = queue.rest(taker);
            let own = queue.advance(taker, 700_001);
            brought.push(part.start..part.start + own);
            match n_rounds {
                n if n % 7 == 0 => queue.give_back(taker),
                _ if queue.rest(taker).is_empty() && !queue.extend(taker) => {}
                _ => waiting.push(taker),
            }
            if n_rounds % 3 == 0 || waiting.is_empty() {
                waiting.extend(queue.take().or_else(|| queue.steal()));
            }
        }
        assert!(!queue.has_waiting());
        brought.retain(|it| !it.is_empty());
        brought.sort_by_key(|it| it.start);
        let mut holes = brought.windows(2).filter(|pair| pair[0].end != pair[1].start);
        assert_eq!(holes.next().map(|pair| pair[0].end..pair[1].start), Some(BLOCK..3 * BLOCK));
        assert!(holes.next().is_none(), "a hole, or a byte that came twice");
        assert_eq!((brought[0].start, brought.last().map(|it| it.end)), (0, Some(size)));
        let only = PartQueue::new(&[0..10]);
        assert!(only.has_waiting());
    }

    #[test]
    fn an_announced_size_costs_nothing() {
        let mut queue = PartQueue::new(&[0..u64::MAX]);
        let first = queue.take().expect("there is work");
        assert_eq!((queue.rest(first), queue.waiting.len()), (0..PART, 1));
    }

    #[test]
    fn a_part_is_halved_at_a_block() {
        let mut queue = PartQueue::new(&[0..8 * BLOCK + 5]);
        let first = queue.take().expect("there is work");
        assert_eq!(queue.advance(first, 10), 10);
        let second = queue.steal().expect("it is long enough");
        assert_eq!(
            (queue.rest(first), queue.rest(second)),
            (10..5 * BLOCK, 5 * BLOCK..8 * BLOCK + 5)
        );
        assert_eq!(queue.advance(first, 9 * BLOCK), 5 * BLOCK - 10);
        let mut short = PartQueue::new(&[0..2 * BLOCK]);
        short.take();
        assert_eq!(short.steal(), None);
    }
}
