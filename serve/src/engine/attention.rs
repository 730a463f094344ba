//! Attention, text by text: packed texts never look at each other, so there is nothing to mask.

use std::ops::Range;

use gemm::Parallelism;
use rayon::prelude::*;

use super::kernels::{Target, View, multiply, softmax};

/// Queries that are computed together; a long text becomes several pieces of work.
const QUERIES: usize = 64;

/// Multi-head attention of some queries over the keys and values of their own text.
/// Source: "Attention Is All You Need", eq. 1; same as `DistilBertSelfAttention` in `transformers`, up to its `out_lin`.
pub(super) struct Attention<'a> {
    /// `[any, dim]`, rows `query_stride` apart.
    pub(super) queries: &'a [f32],
    pub(super) query_stride: usize,
    /// Keys and behind them values, `[tokens, 2 · dim]`, rows `key_stride` apart.
    pub(super) keys_and_values: &'a [f32],
    pub(super) key_stride: usize,
    pub(super) dim: usize,
    pub(super) n_heads: usize,
}

impl Attention<'_> {
    /// Computes the context of every query.
    /// `texts`: for each text the rows of its queries, without gaps, and those of its keys. `context` becomes `[queries, dim]`.
    pub(super) fn apply(&self, texts: impl Iterator<Item = (Range<usize>, Range<usize>)>, context: &mut Vec<f32>) {
        context.clear();
        context.resize((self.queries.len() + self.query_stride - self.dim) / self.query_stride * self.dim, 0.0);
        let mut pieces = Vec::new();
        let mut rest = context.as_mut_slice();
        for (queries, keys) in texts {
            for start in queries.clone().step_by(QUERIES) {
                let piece = start..queries.end.min(start + QUERIES);
                let (context, behind) = std::mem::take(&mut rest).split_at_mut(piece.len() * self.dim);
                pieces.push((piece, keys.clone(), context));
                rest = behind;
            }
        }
        let attend = |scores: &mut Vec<f32>, (queries, keys, context)| self.attend(queries, keys, scores, context);
        pieces.into_par_iter().for_each_init(Vec::new, attend);
    }

    fn attend(&self, queries: Range<usize>, keys: Range<usize>, scores: &mut Vec<f32>, context: &mut [f32]) {
        let head_dim = self.dim / self.n_heads;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let (n_queries, n_keys) = (queries.len(), keys.len());
        scores.resize(n_queries * n_keys, 0.0);
        for column in (0..self.dim).step_by(head_dim) {
            let of_keys = |column: usize| {
                View::rows(
                    &self.keys_and_values[keys.start * self.key_stride + column..],
                    n_keys,
                    head_dim,
                    self.key_stride,
                )
            };
            let query = View::rows(
                &self.queries[queries.start * self.query_stride + column..],
                n_queries,
                head_dim,
                self.query_stride,
            );
            let target = Target { data: scores, row_stride: n_keys, add: false };
            multiply(query, of_keys(column).transposed(), scale, target, Parallelism::None);
            softmax(scores, n_keys);
            let target = Target { data: &mut context[column..], row_stride: self.dim, add: false };
            multiply(
                View::rows(scores, n_queries, n_keys, n_keys),
                of_keys(self.dim + column),
                1.0,
                target,
                Parallelism::None,
            );
        }
    }
}
