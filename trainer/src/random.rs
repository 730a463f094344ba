//! Randomness as a function of what it is for: the same numbers on every machine, for any number of
//! threads.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What the numbers are for; each purpose has its own stream.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Split = 1,
    Head = 2,
    Order = 3,
    Dropout = 4,
    Audit = 5,
}

/// The stream of one purpose; `index` is an epoch, a step, a label.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Shuffles in place (Fisher and Yates).
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for n in (1..items.len()).rev() {
        items.swap(n, below(n + 1, rng));
    }
}

/// Draws about normal numbers with mean 0, as the sum of twelve uniform ones.
/// Those that are more deviations than `cutoff` from it are drawn again.
/// No logarithm, no cosine: their last bit differs between systems' libraries.
pub(crate) fn normal(
    n_values: usize,
    deviation: f64,
    cutoff: Option<f64>,
    rng: &mut ChaCha8Rng,
) -> Vec<f32> {
    let draw = |_| loop {
        let sum: f64 = (0..12).map(|_| uniform(rng)).sum();
        if cutoff.is_none_or(|cutoff| (sum - 6.0).abs() <= cutoff) {
            return ((sum - 6.0) * deviation) as f32;
        }
    };
    (0..n_values).map(draw).collect()
}

/// A number from 0 to below `bound`.
pub(crate) fn below(bound: usize, rng: &mut ChaCha8Rng) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// A number from 0 to below 1.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_depends_on_seed_purpose_and_index() {
        let order = |seed, purpose, index| {
            let mut items: Vec<u32> = (0..50).collect();
            shuffle(&mut items, &mut stream(seed, purpose, index));
            items
        };
        let first = order(1, Purpose::Order, 1);
        assert_eq!(first, order(1, Purpose::Order, 1));
        assert_ne!(first, order(2, Purpose::Order, 1));
        assert_ne!(first, order(1, Purpose::Split, 1));
        assert_ne!(first, order(1, Purpose::Order, 2));
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let values = normal(20_000, 0.5, None, &mut stream(3, Purpose::Head, 0));
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20_000.0).sqrt();
        assert!(mean.abs() < 0.02 && (deviation - 0.5).abs() < 0.02, "{mean} {deviation}");
        let cut = normal(20_000, 0.5, Some(2.0), &mut stream(3, Purpose::Head, 0));
        let farthest = cut.iter().map(|v| v.abs()).fold(0.0, f32::max);
        assert!((0.99..=1.0).contains(&farthest), "{farthest}");
    }
}
