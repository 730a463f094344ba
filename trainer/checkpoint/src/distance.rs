//! Which row of a table the distance of two tokens has.

use crate::network::{Disentangled, Rotary};

/// MPNet's row of a distance, how far a key is behind its query: small ones each for itself,
/// greater ones by their logarithm up to 128, each direction for itself.
/// Source: `relative_position_bucket` in `modeling_mpnet.py`.
#[must_use]
pub fn bucket(distance: i64, n_buckets: usize) -> usize {
    const MAX_DISTANCE: f64 = 128.0;
    let (half, n) = (n_buckets / 2, distance.unsigned_abs() as usize);
    let behind = if distance > 0 { half } else { 0 };
    let exact = half / 2;
    if n < exact {
        return behind + n;
    }
    let share = (n as f32 / exact as f32).ln() / (MAX_DISTANCE / exact as f64).ln() as f32;
    let large = exact + (share * (half - exact) as f32) as usize;
    behind + large.min(half - 1)
}

impl Disentangled {
    /// Rows of the table of distances, half of them for each direction.
    #[must_use]
    pub fn n_distances(&self) -> usize {
        self.n_buckets.unwrap_or(self.max_distance).saturating_mul(2)
    }

    /// The row of a distance: how far a query is behind its key.
    #[must_use]
    pub fn row(&self, distance: i64) -> usize {
        let span = (self.n_distances() / 2) as i64;
        let distance = match self.n_buckets {
            Some(n_buckets) => bucketed(distance, n_buckets as i64, self.max_distance),
            None => distance,
        };
        (distance + span).clamp(0, 2 * span - 1) as usize
    }
}

/// A distance, or the kind of a great one by its logarithm.
/// Source: `make_log_bucket_position` in `modeling_deberta_v2.py`; in its precision.
fn bucketed(distance: i64, n_buckets: i64, max_distance: usize) -> i64 {
    let middle = n_buckets / 2;
    let n = distance.abs();
    if n <= middle {
        return distance;
    }
    let whole = ((max_distance as f32 - 1.0) / middle as f32).ln();
    let share = (n as f32 / middle as f32).ln() / whole;
    ((share * (middle - 1) as f32).ceil() as i64 + middle) * distance.signum()
}

impl Rotary {
    /// The base of a layer's frequencies.
    #[must_use]
    pub fn theta_of(&self, layer: usize) -> f64 {
        if self.is_local[layer] { self.local_theta } else { self.theta }
    }
}

/// By how much each pair of a head's numbers is turned from one position to the next.
/// In the precision of `transformers`, so that far positions are off by as much; the power is
/// rounded from a finer one, so that every system's C library gives the same bits.
#[must_use]
pub fn frequencies(theta: f64, head_dim: usize) -> Vec<f32> {
    let share = |pair: usize| 2.0 * pair as f32 / head_dim as f32;
    let frequency = |pair: usize| 1.0 / theta.powf(f64::from(share(pair))) as f32;
    (0..head_dim / 2).map(frequency).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_published_sizes_fall_where_transformers_puts_them() {
        // `make_log_bucket_position` of DeBERTa v3's 256 buckets and 512 positions.
        let known = [
            (1, 1),
            (127, 127),
            (128, 128),
            (129, 129),
            (130, 130),
            (150, 143),
            (200, 169),
            (300, 207),
            (400, 233),
            (500, 254),
            (511, 255),
            (-129, -129),
            (-511, -255),
        ];
        for (distance, expected) in known {
            assert_eq!(bucketed(distance, 256, 512), expected, "{distance}");
        }
        // `relative_position_bucket` of MPNet's 32.
        let known = [
            (0, 0),
            (1, 17),
            (7, 23),
            (8, 24),
            (9, 24),
            (20, 26),
            (50, 29),
            (90, 30),
            (127, 31),
            (500, 31),
            (-1, 1),
            (-8, 8),
            (-60, 13),
            (-500, 15),
        ];
        for (distance, expected) in known {
            assert_eq!(bucket(distance, 32), expected, "{distance}");
        }
    }
}
