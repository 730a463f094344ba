//! Queries and keys turned by their token's position.
//! Source: "RoFormer", eq. 34, with the two halves of a head as pairs, as `transformers` does it.

use std::ops::Range;

use checkpoint::frequencies;
use rayon::prelude::*;

/// Cosines and sines of the first positions; it grows with the longest text that was seen.
#[derive(Default)]
pub(in super::super) struct Turns {
    /// `[positions, head_dim / 2]` of each.
    cosines: Vec<f32>,
    sines: Vec<f32>,
    theta: f64,
}

impl Turns {
    /// Of the first `n` positions at least.
    pub(in super::super) fn of(&mut self, n: usize, head_dim: usize, theta: f64) -> &Self {
        if self.theta != theta {
            *self = Self { theta, ..Self::default() };
        }
        let half = head_dim / 2;
        let frequencies = frequencies(theta, head_dim);
        for position in self.cosines.len() / half.max(1)..n {
            let angles = frequencies.iter().map(|frequency| position as f32 * frequency);
            let (sines, cosines): (Vec<f32>, Vec<f32>) = angles.map(f32::sin_cos).unzip();
            self.sines.extend(sines);
            self.cosines.extend(cosines);
        }
        self
    }
}

/// Turns the heads in some columns of each row. `rows`: `[tokens, stride]`.
pub(in super::super) fn turn(
    rows: &mut [f32],
    stride: usize,
    columns: Range<usize>,
    head_dim: usize,
    positions: &[usize],
    turns: &Turns,
) {
    let half = head_dim / 2;
    rows.par_chunks_exact_mut(stride).zip(positions).for_each(|(row, position)| {
        let cosines = &turns.cosines[position * half..][..half];
        let sines = &turns.sines[position * half..][..half];
        for head in row[columns.clone()].chunks_exact_mut(head_dim) {
            let (left, right) = head.split_at_mut(half);
            for (((x, y), cosine), sine) in left.iter_mut().zip(right).zip(cosines).zip(sines) {
                (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
            }
        }
    });
}
