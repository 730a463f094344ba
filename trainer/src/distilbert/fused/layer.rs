//! One layer of the encoder, forwards and backwards by hand.
//!
//! Tokens of all texts lie one after the other, without padding: `[tokens, dim]`. The formulas are
//! those of `TransformerBlock` beside this module; what is saved between the two passes is the
//! least that needs no product again.

use checkpoint::Activation;
use rayon::prelude::*;

use super::kernels::{
    Matrix, dot, gelu, gelu_backward, linear, linear_backward, normalize, normalize_backward,
    product, relu, scaled, softmax,
};
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
    /// Tokens of each text.
    pub(in crate::distilbert) lengths: Vec<usize>,
    pub(in crate::distilbert) n_heads: usize,
    pub(in crate::distilbert) epsilon: f32,
    pub(in crate::distilbert) activation: Activation,
    /// What is kept of the attention: for each text, head and query as many as there are tokens.
    pub(in crate::distilbert) keep_attention: Option<Kept>,
    /// What is kept of attention's output.
    pub(in crate::distilbert) keep_attended: Option<Kept>,
    /// What is kept of the feed-forward network's output.
    pub(in crate::distilbert) keep_output: Option<Kept>,
}

/// A dropout mask: which values are kept, and what those are multiplied with.
#[derive(Debug)]
pub(in crate::distilbert) struct Kept {
    pub(in crate::distilbert) flags: Vec<bool>,
    pub(in crate::distilbert) scale: f32,
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

/// The tokens of one text and one head, as numbers.
struct Block {
    /// Its first token.
    token: usize,
    length: usize,
    head: usize,
    /// Where its attention begins.
    attention: usize,
}

impl LayerSpec {
    /// How many values the attention of all texts and heads has.
    pub(in crate::distilbert) fn n_attention(lengths: &[usize], n_heads: usize) -> usize {
        lengths.iter().map(|length| length * length * n_heads).sum()
    }

    fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut token, mut attention) = (Vec::new(), 0, 0);
        for length in self.lengths.iter().copied() {
            for head in 0..self.n_heads {
                blocks.push(Block { token, length, head, attention });
                attention += length * length;
            }
            token += length;
        }
        blocks
    }

    /// The attention's values, divided among the blocks.
    fn divided<'a>(&self, mut values: &'a mut [f32]) -> Vec<(Block, &'a mut [f32])> {
        let divide = |block: Block| {
            let (first, rest) =
                std::mem::take(&mut values).split_at_mut(block.length * block.length);
            values = rest;
            (block, first)
        };
        self.blocks().into_iter().map(divide).collect()
    }
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
    let attention = attend(&query, &key, dim, spec);
    let context = gather(&attention, &value, dim, spec);
    let mut attended = apply(&context, OUT);
    drop_out(&mut attended, spec.keep_attended.as_ref());
    add(&mut attended, hidden);
    let first = normalized(attended, dim, spec);
    let attended = scaled(&first.values, tensors[FIRST_NORM], tensors[FIRST_NORM + 1]);
    let wide = apply(&attended, WIDE);
    let mut output = apply(&activated(&wide, spec), NARROW);
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
    let active = activated(&saved.wide, spec);
    put(
        NARROW,
        linear_backward(&gradient, &active, tensors[NARROW], dim, Some((&mut of_wide, false))),
    );
    drop(active);
    match spec.activation {
        Activation::Relu => mask(&mut of_wide, &saved.wide),
        _ => gelu_backward(&mut of_wide, &saved.wide),
    }
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
    let [of_query, of_key, of_value] = attend_backward(&of_context, saved, dim, spec);
    for (at, gradient) in [(QUERY, of_query), (KEY, of_key), (VALUE, of_value)] {
        put(at, linear_backward(&gradient, hidden, tensors[at], dim, Some((&mut of_hidden, true))));
    }
    (of_hidden, found)
}

/// Softmax of the scaled scores: for each text and head `[length, length]`.
fn attend(query: &[f32], key: &[f32], dim: usize, spec: &LayerSpec) -> Vec<f32> {
    let size = dim / spec.n_heads;
    let scale = 1.0 / (size as f32).sqrt();
    let mut attention = vec![0.0; LayerSpec::n_attention(&spec.lengths, spec.n_heads)];
    spec.divided(&mut attention).into_par_iter().for_each(|(block, scores)| {
        let length = block.length;
        let [query, key] = [query, key].map(|values| block.of(values, dim, size));
        product(
            (scores, length),
            [length, length, size],
            query,
            key.transposed(),
            scale,
            false,
            false,
        );
        vectors(|| scores.chunks_exact_mut(length).for_each(softmax));
    });
    attention
}

/// The values that each token attends to: `[tokens, dim]`.
fn gather(attention: &[f32], value: &[f32], dim: usize, spec: &LayerSpec) -> Vec<f32> {
    let size = dim / spec.n_heads;
    let parts = spec.blocks().into_par_iter().map(|block| {
        let kept =
            dropped(&attention[block.attention..][..block.length * block.length], &block, spec);
        let mut part = vec![0.0; block.length * size];
        let value = block.of(value, dim, size);
        product(
            (&mut part, size),
            [block.length, size, block.length],
            Matrix::rows(&kept, block.length),
            value,
            1.0,
            false,
            false,
        );
        (block, part)
    });
    joined(parts.collect(), value.len(), dim, size)
}

/// The gradients of queries, keys and values.
fn attend_backward(
    of_context: &[f32],
    saved: &Saved,
    dim: usize,
    spec: &LayerSpec,
) -> [Vec<f32>; 3] {
    let size = dim / spec.n_heads;
    let scale = 1.0 / (size as f32).sqrt();
    let parts = spec.blocks().into_par_iter().map(|block| {
        let length = block.length;
        let attention = &saved.attention[block.attention..][..length * length];
        let of_context = block.of(of_context, dim, size);
        let kept = dropped(attention, &block, spec);
        let mut of_value = vec![0.0; length * size];
        let transposed = Matrix::rows(&kept, length).transposed();
        product(
            (&mut of_value, size),
            [length, size, length],
            transposed,
            of_context,
            1.0,
            false,
            false,
        );
        let mut of_scores = vec![0.0; length * length];
        let value = block.of(&saved.value, dim, size).transposed();
        product(
            (&mut of_scores, length),
            [length, length, size],
            of_context,
            value,
            1.0,
            false,
            false,
        );
        drop_block(&mut of_scores, &block, spec);
        vectors(|| {
            for (row, attention) in
                of_scores.chunks_exact_mut(length).zip(attention.chunks_exact(length))
            {
                let along = dot(row, attention);
                row.iter_mut()
                    .zip(attention)
                    .for_each(|(value, attention)| *value = attention * (*value - along));
            }
        });
        let (mut of_query, mut of_key) = (vec![0.0; length * size], vec![0.0; length * size]);
        let of_scores = Matrix::rows(&of_scores, length);
        let [query, key] = [&saved.query, &saved.key].map(|values| block.of(values, dim, size));
        product((&mut of_query, size), [length, size, length], of_scores, key, scale, false, false);
        product(
            (&mut of_key, size),
            [length, size, length],
            of_scores.transposed(),
            query,
            scale,
            false,
            false,
        );
        (block, [of_query, of_key, of_value])
    });
    let mut parts: Vec<(Block, [Vec<f32>; 3])> = parts.collect();
    [0, 1, 2].map(|n| {
        let part = |(block, parts): &mut (Block, [Vec<f32>; 3])| {
            let Block { token, length, head, attention } = *block;
            (Block { token, length, head, attention }, std::mem::take(&mut parts[n]))
        };
        joined(parts.iter_mut().map(part).collect(), of_context.len(), dim, size)
    })
}

impl Block {
    /// This text's and this head's part of `[tokens, dim]`.
    fn of<'a>(&self, values: &'a [f32], dim: usize, size: usize) -> Matrix<'a> {
        let begin = self.token * dim + self.head * size;
        let end = (self.token + self.length) * dim;
        Matrix::rows(&values[begin..end], dim)
    }
}

/// Puts the parts of texts and heads to their places in `[tokens, dim]`.
fn joined(parts: Vec<(Block, Vec<f32>)>, n_values: usize, dim: usize, size: usize) -> Vec<f32> {
    let mut values = vec![0.0; n_values];
    for (block, part) in parts {
        for (row, part) in part.chunks_exact(size).enumerate() {
            values[(block.token + row) * dim + block.head * size..][..size].copy_from_slice(part);
        }
    }
    values
}

/// A block's attention after dropout.
fn dropped<'a>(
    attention: &'a [f32],
    block: &Block,
    spec: &LayerSpec,
) -> std::borrow::Cow<'a, [f32]> {
    if spec.keep_attention.is_none() {
        return attention.into();
    }
    let mut kept = attention.to_vec();
    drop_block(&mut kept, block, spec);
    kept.into()
}

fn drop_block(values: &mut [f32], block: &Block, spec: &LayerSpec) {
    if let Some(Kept { flags, scale }) = &spec.keep_attention {
        let flags = &flags[block.attention..];
        vectors(|| {
            values
                .iter_mut()
                .zip(flags)
                .for_each(|(value, is_kept)| *value *= if *is_kept { *scale } else { 0.0 });
        });
    }
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

/// Zeroes values where the others are not positive.
fn mask(values: &mut [f32], others: &[f32]) {
    values
        .iter_mut()
        .zip(others)
        .for_each(|(value, other)| *value = if *other > 0.0 { *value } else { 0.0 });
}

fn activated(values: &[f32], spec: &LayerSpec) -> Vec<f32> {
    match spec.activation {
        Activation::Relu => values.iter().map(|value| relu(*value)).collect(),
        _ => gelu(values),
    }
}

fn normalized(mut values: Vec<f32>, dim: usize, spec: &LayerSpec) -> Normalized {
    let inverses = normalize(&mut values, dim, spec.epsilon);
    Normalized { values, inverses }
}
