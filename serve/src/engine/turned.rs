//! A layer with its LayerNorms before attention and feed-forward network, whose positions turn
//! queries and keys: ModernBERT's.

use std::ops::Range;

use checkpoint::{Activation, Network, Rotary, Tensors};
use rayon::prelude::*;

use super::attention::{Attention, Scores, turn};
use super::kernels::{Isa, Rows, activate, multiply_by};
use super::layer::uneven;
use super::linear::{Linear, Then};
use super::model::{PIECE, Space, keep_first};
use super::norm::Norm;

/// `ModernBertEncoderLayer` in `transformers`.
pub(super) struct TurnedLayer {
    /// The first layer has none.
    attention_norm: Option<Norm>,
    qkv: Linear,
    is_local: bool,
    theta: f64,
    attention: Attention,
    out_lin: Linear,
    output_norm: Norm,
    /// What is activated, and what it is multiplied with, side by side.
    lin1: Linear,
    activation: Activation,
    lin2: Linear,
}

impl TurnedLayer {
    pub(super) fn load(
        tensors: &Tensors,
        n: usize,
        network: &Network,
        rotary: &Rotary,
        isa: Isa,
    ) -> Self {
        let &Network { dim, hidden_dim, n_heads, activation, layer_norm_eps, .. } = network;
        let name = |part: &str| format!("distilbert.transformer.layer.{n}.{part}");
        let norm = |part: &str| Norm::load(tensors, &name(part), layer_norm_eps);
        let is_local = rotary.is_local[n];
        let scores = if is_local { Scores::Window(rotary.window) } else { Scores::Plain };
        Self {
            attention_norm: (n > 0).then(|| norm("sa_layer_norm")),
            qkv: Linear::load_divided(isa, tensors, &name("attention.qkv_lin"), 3, dim, dim),
            is_local,
            theta: rotary.theta_of(n),
            attention: Attention { isa, dim, n_heads, scores },
            out_lin: Linear::load(isa, tensors, &[&name("attention.out_lin")], dim, dim),
            output_norm: norm("output_layer_norm"),
            lin1: Linear::load_divided(isa, tensors, &name("ffn.lin1"), 2, dim, hidden_dim),
            activation,
            lin2: Linear::load(isa, tensors, &[&name("ffn.lin2")], hidden_dim, dim),
        }
    }

    /// `texts`: the rows of each; `space.hidden`: `[tokens, dim]` before; after it the same, or
    /// `[texts, dim]` of the first tokens only.
    pub(super) fn apply(&self, texts: &[Range<usize>], first_only: bool, space: &mut Space) {
        let (dim, head_dim) = (self.attention.dim, self.attention.dim / self.attention.n_heads);
        let Space { hidden, context, mixed, wide, turns } = space;
        mixed.clone_from(hidden);
        if let Some(norm) = &self.attention_norm {
            norm.rows(mixed);
        }
        let longest = texts.iter().map(Range::len).max().unwrap_or(0);
        let turns = turns[usize::from(self.is_local)].of(longest, head_dim, self.theta);
        let positions: Vec<usize> = texts.iter().flat_map(|rows| 0..rows.len()).collect();
        let normed = Rows::new(mixed, positions.len(), dim, dim);
        if first_only {
            self.qkv.apply_layers(1..3, normed, wide);
            turn(wide, 2 * dim, 0..dim, head_dim, &positions, turns);
            // The first position turns nothing.
            keep_first(mixed, texts, dim);
            keep_first(hidden, texts, dim);
            let mut queries = Vec::new();
            self.qkv.apply_layers(0..1, Rows::new(mixed, texts.len(), dim, dim), &mut queries);
            self.attention.apply_to_first(&queries, wide, texts, context);
        } else {
            self.qkv.apply(normed, wide, 3 * dim, Then::Nothing);
            turn(wide, 3 * dim, 0..2 * dim, head_dim, &positions, turns);
            self.attention.apply(wide, texts, context);
        }
        let n_rows = hidden.len() / dim;
        self.out_lin.apply(Rows::new(context, n_rows, dim, dim), mixed, dim, Then::Nothing);
        add(hidden, mixed);
        mixed.clone_from(hidden);
        self.output_norm.rows(mixed);
        let hidden_dim = self.lin2.n_in();
        let stride = uneven(2 * hidden_dim);
        self.lin1.apply(Rows::new(mixed, n_rows, dim, dim), wide, stride, Then::Nothing);
        wide.par_chunks_mut(stride).for_each(|row| {
            let (active, gate) = row.split_at_mut(hidden_dim);
            activate(active, self.activation);
            multiply_by(active, &gate[..hidden_dim]);
        });
        self.lin2.apply(Rows::new(wide, n_rows, hidden_dim, stride), mixed, dim, Then::Nothing);
        add(hidden, mixed);
    }
}

fn add(hidden: &mut [f32], others: &[f32]) {
    let pieces = hidden.par_chunks_mut(PIECE * 1024).zip(others.par_chunks(PIECE * 1024));
    pieces.for_each(|(hidden, others)| {
        hidden.iter_mut().zip(others).for_each(|(x, other)| *x += other);
    });
}
