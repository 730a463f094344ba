//! Which texts go through a step together.

use crate::random::{Purpose, shuffle, stream};

/// Batches that are sorted by length together.
/// Same as `LengthGroupedSampler` in `transformers`.
const GROUPED: usize = 50;

/// The batches of an epoch: texts of similar length together, in an order drawn from seed and
/// epoch.
pub(super) fn batches(
    lengths: &[usize],
    batch_size: usize,
    seed: u64,
    epoch: usize,
) -> Vec<Vec<usize>> {
    let mut rng = stream(seed, Purpose::Order, epoch as u64);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    shuffle(&mut order, &mut rng);
    let n_grouped = (lengths.len() / batch_size.saturating_mul(4)).clamp(1, GROUPED);
    for group in order.chunks_mut(n_grouped.saturating_mul(batch_size)) {
        group.sort_by_key(|n| lengths[*n]);
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    shuffle(&mut batches, &mut rng);
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some hundred texts of 5 to 64 tokens.
    fn lengths() -> Vec<usize> {
        (0..640).map(|n| 5 + (n * 37) % 60).collect()
    }

    #[test]
    fn every_text_is_in_one_batch() {
        let mut seen: Vec<usize> = batches(&lengths(), 16, 1, 1).concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..640).collect::<Vec<_>>());
    }

    #[test]
    fn batches_have_texts_of_similar_length() {
        let lengths = lengths();
        let padded = |batches: &[Vec<usize>]| -> usize {
            let longest = |batch: &Vec<usize>| batch.iter().map(|n| lengths[*n]).max().unwrap_or(0);
            batches.iter().map(|batch| longest(batch) * batch.len()).sum()
        };
        let unsorted: Vec<Vec<usize>> =
            (0..640).collect::<Vec<_>>().chunks(16).map(<[usize]>::to_vec).collect();
        assert!(padded(&batches(&lengths, 16, 1, 1)) * 10 < padded(&unsorted) * 8);
    }

    #[test]
    fn the_order_is_drawn_from_seed_and_epoch() {
        let order = |seed, epoch| batches(&lengths(), 16, seed, epoch);
        assert_eq!(order(1, 1), order(1, 1));
        assert_ne!(order(1, 1), order(2, 1));
        assert_ne!(order(1, 1), order(1, 2));
    }
}
