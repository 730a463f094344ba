//! One layer of the encoder, forwards and backwards by hand.
//!
//! Tokens of all texts lie one after the other, without padding: `[tokens, dim]`. The formulas are
//! those of `TransformerBlock` above this module; what is saved between the two passes is the
//! least that needs no product again.

use checkpoint::{Activation, Network};
use rayon::prelude::*;

use super::super::Dropout;
use super::super::relation::Relation;
use super::activations::{activated, activated_backward};
use super::attention::{self, AttentionSpec, Kept, attend, gather};
use super::kernels::{linear, linear_backward, normalize, normalize_backward, scaled};
use crate::vectors::vectors;

/// How many tensors a layer has.
pub(super) const TENSORS: usize = 16;

// Where they are among each other: weights, each with its bias after it; of LayerNorms, scales with
// their shifts.
const QUERY: usize = 0;
const KEY: usize = 2;
const VALUE: usize = 4;
const OUT: usize = 6;
const FIRST_NORM: usize = 8;
const WIDE: usize = 10;
const NARROW: usize = 12;
const SECOND_NORM: usize = 14;

/// What a layer needs to know besides its tensors.
#[derive(Debug)]
pub(in crate::distilbert) struct LayerSpec {
    attention: AttentionSpec,
    epsilon: f32,
    activation: Activation,
    /// What is kept of attention's output.
    keep_attended: Option<Kept>,
    /// What is kept of the feed-forward network's output.
    keep_output: Option<Kept>,
}

impl LayerSpec {
    pub(in crate::distilbert) fn new(
        lengths: &[usize],
        network: &Network,
        dropout: &mut Dropout,
    ) -> Self {
        let n_values = lengths.iter().sum::<usize>() * network.dim;
        Self {
            attention: AttentionSpec::new(lengths, network, Relation::Plain, dropout),
            epsilon: network.layer_norm_eps as f32,
            activation: network.activation,
            keep_attended: dropout.kept(n_values, network.dropout.attended),
            keep_output: dropout.kept(n_values, network.dropout.fed),
        }
    }
}

/// What the way back needs of the way there.
#[derive(Debug)]
pub(super) struct Saved {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    /// Before dropout; for each text and head `[length, length]`.
    attention: Vec<f32>,
    context: Vec<f32>,
    first: Normalized,
    /// Before the activation.
    wide: Vec<f32>,
    second: Normalized,
}

#[derive(Debug)]
struct Normalized {
    values: Vec<f32>,
    inverses: Vec<f32>,
}

/// The layer's output, and what the way back needs.
pub(super) fn forward(
    hidden: &[f32],
    tensors: &[&[f32]; TENSORS],
    spec: &LayerSpec,
) -> (Vec<f32>, Saved) {
    let dim = tensors[FIRST_NORM].len();
    let apply = |input: &[f32], at: usize| linear(input, tensors[at], tensors[at + 1]);
    let (query, key, value) = (apply(hidden, QUERY), apply(hidden, KEY), apply(hidden, VALUE));
    let attention = attend([&query, &key], [&[]; 2], dim, &spec.attention);
    let context = gather(&attention, &value, dim, &spec.attention);
    let mut attended = apply(&context, OUT);
    drop_out(&mut attended, spec.keep_attended.as_ref());
    add(&mut attended, hidden);
    let first = normalized(attended, dim, spec);
    let attended = scaled(&first.values, tensors[FIRST_NORM], tensors[FIRST_NORM + 1]);
    let wide = apply(&attended, WIDE);
    let mut output = apply(&activated(&wide, spec.activation), NARROW);
    drop_out(&mut output, spec.keep_output.as_ref());
    add(&mut output, &attended);
    let second = normalized(output, dim, spec);
    let output = scaled(&second.values, tensors[SECOND_NORM], tensors[SECOND_NORM + 1]);
    (output, Saved { query, key, value, attention, context, first, wide, second })
}

/// The gradients of the layer's input, and of its tensors; `gradient` is that of its output.
pub(super) fn backward(
    mut gradient: Vec<f32>,
    hidden: &[f32],
    tensors: &[&[f32]; TENSORS],
    saved: &Saved,
    spec: &LayerSpec,
) -> (Vec<f32>, [Vec<f32>; TENSORS]) {
    let dim = tensors[FIRST_NORM].len();
    let mut found: [Vec<f32>; TENSORS] = Default::default();
    let mut put = |at: usize, (weight, bias): (Vec<f32>, Vec<f32>)| {
        (found[at], found[at + 1]) = (weight, bias)
    };

    let Normalized { values, inverses } = &saved.second;
    put(SECOND_NORM, normalize_backward(&mut gradient, values, inverses, tensors[SECOND_NORM]));
    // Of the sum's two parts, the one goes on as it is.
    let mut of_attended = gradient.clone();
    drop_out(&mut gradient, spec.keep_output.as_ref());
    let hidden_dim = tensors[WIDE + 1].len();
    let mut of_wide = vec![0.0; saved.wide.len()];
    let active = activated(&saved.wide, spec.activation);
    put(
        NARROW,
        linear_backward(&gradient, &active, tensors[NARROW], dim, Some((&mut of_wide, false))),
    );
    drop(active);
    activated_backward(&mut of_wide, &saved.wide, spec.activation);
    let attended = scaled(&saved.first.values, tensors[FIRST_NORM], tensors[FIRST_NORM + 1]);
    put(
        WIDE,
        linear_backward(
            &of_wide,
            &attended,
            tensors[WIDE],
            hidden_dim,
            Some((&mut of_attended, true)),
        ),
    );
    drop((attended, of_wide));

    let Normalized { values, inverses } = &saved.first;
    put(FIRST_NORM, normalize_backward(&mut of_attended, values, inverses, tensors[FIRST_NORM]));
    let mut of_hidden = of_attended.clone();
    drop_out(&mut of_attended, spec.keep_attended.as_ref());
    let mut of_context = gradient;
    put(
        OUT,
        linear_backward(
            &of_attended,
            &saved.context,
            tensors[OUT],
            dim,
            Some((&mut of_context, false)),
        ),
    );
    let parts = [&saved.query[..], &saved.key[..], &saved.value[..]];
    let ([of_query, of_key, of_value], _) =
        attention::backward(&of_context, parts, [&[]; 2], &saved.attention, dim, &spec.attention);
    for (at, gradient) in [(QUERY, of_query), (KEY, of_key), (VALUE, of_value)] {
        put(at, linear_backward(&gradient, hidden, tensors[at], dim, Some((&mut of_hidden, true))));
    }
    (of_hidden, found)
}

fn drop_out(values: &mut [f32], kept: Option<&Kept>) {
    let Some(Kept { flags, scale }) = kept else { return };
    values.par_chunks_mut(1 << 14).zip(flags.par_chunks(1 << 14)).for_each(|(values, flags)| {
        vectors(|| {
            values
                .iter_mut()
                .zip(flags)
                .for_each(|(value, is_kept)| *value *= if *is_kept { *scale } else { 0.0 });
        });
    });
}

fn add(values: &mut [f32], others: &[f32]) {
    values.par_chunks_mut(1 << 14).zip(others.par_chunks(1 << 14)).for_each(|(values, others)| {
        vectors(|| values.iter_mut().zip(others).for_each(|(value, other)| *value += other));
    });
}

fn normalized(mut values: Vec<f32>, dim: usize, spec: &LayerSpec) -> Normalized {
    let inverses = normalize(&mut values, dim, spec.epsilon);
    Normalized { values, inverses }
}
