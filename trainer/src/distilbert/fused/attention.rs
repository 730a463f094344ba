//! Attention over texts that lie one after the other, forwards and backwards by hand: text by text
//! and head by head, so that there is nothing to mask.

use checkpoint::Network;
use rayon::prelude::*;

use super::super::Dropout;
use super::super::relation::{Distances, Looks, Relation, Turns};
use super::kernels::{Matrix, dot, product, softmax};
use crate::vectors::vectors;

/// What attention needs to know besides queries, keys and values.
#[derive(Debug)]
pub(in crate::distilbert) struct AttentionSpec {
    /// Tokens of each text.
    pub(super) lengths: Vec<usize>,
    n_heads: usize,
    relation: Relation,
    /// What is kept of the attention: for each text, head and query as many as there are tokens.
    keep: Option<Kept>,
}

/// A dropout mask: which values are kept, and what those are multiplied with.
#[derive(Debug)]
pub(in crate::distilbert) struct Kept {
    pub(in crate::distilbert) flags: Vec<bool>,
    pub(in crate::distilbert) scale: f32,
}

/// The tokens of one text and one head, as numbers.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Its first token.
    token: usize,
    length: usize,
    head: usize,
    /// Where its attention begins.
    attention: usize,
}

/// Gradients of one block: of queries, keys, values, and of the two tables.
type Part = (Block, [Vec<f32>; 3], [Vec<f32>; 2]);

impl AttentionSpec {
    pub(in crate::distilbert) fn new(
        lengths: &[usize],
        network: &Network,
        relation: Relation,
        dropout: &mut Dropout,
    ) -> Self {
        let n_heads = network.n_heads;
        let n_values = lengths.iter().map(|length| length * length * n_heads).sum();
        let keep = dropout.kept(n_values, network.dropout.attention);
        Self { lengths: lengths.to_vec(), n_heads, relation, keep }
    }

    fn scale(&self, size: usize) -> f32 {
        self.relation.scale(size) as f32
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

    fn n_values(&self) -> usize {
        self.lengths.iter().map(|length| length * length * self.n_heads).sum()
    }

    /// Turns queries or keys by their places, `[tokens, dim]`; backwards where gradients go back.
    pub(super) fn turn(&self, values: &mut [f32], dim: usize, is_back: bool) {
        let Relation::Turned(turns) = &self.relation else { return };
        let places: Vec<usize> = self.lengths.iter().flat_map(|length| 0..*length).collect();
        values.par_chunks_exact_mut(dim).zip(places).for_each(|(row, place)| {
            vectors(|| turns.turn(row, place, is_back));
        });
    }
}

impl Turns {
    #[inline(always)]
    fn turn(&self, row: &mut [f32], place: usize, is_back: bool) {
        let half = self.half;
        let sign = if is_back { -1.0 } else { 1.0 };
        let cosines = &self.cosines[place * half..][..half];
        let sines = &self.sines[place * half..][..half];
        for head in row.chunks_exact_mut(2 * half) {
            let (left, right) = head.split_at_mut(half);
            for (((x, y), cosine), sine) in left.iter_mut().zip(right).zip(cosines).zip(sines) {
                let sine = sine * sign;
                (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
            }
        }
    }
}

impl Distances {
    /// This text's and this head's rows of a table `[distances, dim]`, and how many they are.
    fn part<'a>(
        &self,
        table: &'a [f32],
        block: &Block,
        dim: usize,
        size: usize,
    ) -> (Matrix<'a>, usize) {
        let (first, last) = self.bounds(block.length);
        let begin = first * dim + block.head * size;
        (Matrix::rows(&table[begin..(last + 1) * dim], dim), last + 1 - first)
    }
}

/// Softmax of the scaled scores: for each text and head `[length, length]`. `tables`: the biases
/// `[distances, heads]`, or what distances are to queries and to keys, `[distances, dim]` of each.
pub(super) fn attend(
    [query, key]: [&[f32]; 2],
    tables: [&[f32]; 2],
    dim: usize,
    spec: &AttentionSpec,
) -> Vec<f32> {
    let size = dim / spec.n_heads;
    let scale = spec.scale(size);
    let mut attention = vec![0.0; spec.n_values()];
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
        match &spec.relation {
            Relation::Plain | Relation::Turned(_) => (),
            Relation::Biased(distances) => {
                for (n, row) in scores.chunks_exact_mut(length).enumerate() {
                    let bias = |at: usize| tables[0][at * spec.n_heads + block.head];
                    let rows = row.iter_mut().zip(distances.of_query(n, length));
                    rows.for_each(|(score, at)| *score += bias(at));
                }
            }
            Relation::Disentangled(distances, looks) => {
                add_distances(scores, &block, [query, key], tables, (distances, *looks), dim, spec);
            }
        }
        vectors(|| {
            for (n, row) in scores.chunks_exact_mut(length).enumerate() {
                let seen = match &spec.relation {
                    Relation::Turned(turns) => turns.seen(n, length),
                    _ => 0..length,
                };
                row[..seen.start].fill(0.0);
                row[seen.end..].fill(0.0);
                softmax(&mut row[seen]);
            }
        });
    });
    attention
}

/// Adds what queries and keys are to distances.
fn add_distances(
    scores: &mut [f32],
    block: &Block,
    [query, key]: [Matrix<'_>; 2],
    tables: [&[f32]; 2],
    (distances, looks): (&Distances, Looks),
    dim: usize,
    spec: &AttentionSpec,
) {
    let (length, size) = (block.length, dim / spec.n_heads);
    let (first, _) = distances.bounds(length);
    for (n, (side, is_there)) in
        [(query, looks.of_content), (key, looks.of_distance)].into_iter().enumerate()
    {
        if !is_there {
            continue;
        }
        let (table, n_rows) = distances.part(tables[n], block, dim, size);
        let mut products = vec![0.0; length * n_rows];
        product(
            (&mut products, n_rows),
            [length, n_rows, size],
            side,
            table.transposed(),
            spec.scale(size),
            false,
            false,
        );
        for (i, row) in scores.chunks_exact_mut(length).enumerate() {
            for ((j, score), at) in row.iter_mut().enumerate().zip(distances.of_query(i, length)) {
                let side = if n == 0 { i } else { j };
                *score += products[side * n_rows + at - first];
            }
        }
    }
}

/// The values that each token attends to: `[tokens, dim]`.
pub(super) fn gather(
    attention: &[f32],
    value: &[f32],
    dim: usize,
    spec: &AttentionSpec,
) -> Vec<f32> {
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

/// The gradients of queries, keys and values, and of the tables.
pub(super) fn backward(
    of_context: &[f32],
    [query, key, value]: [&[f32]; 3],
    tables: [&[f32]; 2],
    attention: &[f32],
    dim: usize,
    spec: &AttentionSpec,
) -> ([Vec<f32>; 3], [Vec<f32>; 2]) {
    let size = dim / spec.n_heads;
    let scale = spec.scale(size);
    let parts = spec.blocks().into_par_iter().map(|block| -> Part {
        let length = block.length;
        let attention = &attention[block.attention..][..length * length];
        let of_context = block.of(of_context, dim, size);
        let kept = dropped(attention, &block, spec);
        let mut of_value = vec![0.0; length * size];
        let transposed = Matrix::rows(&kept, length).transposed();
        let shape = [length, size, length];
        product((&mut of_value, size), shape, transposed, of_context, 1.0, false, false);
        let mut of_scores = vec![0.0; length * length];
        let value = block.of(value, dim, size).transposed();
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
        softmax_backward(&mut of_scores, attention, length);
        let mut of_tables = [Vec::new(), Vec::new()];
        if let Relation::Biased(distances) = &spec.relation {
            of_tables[0] = of_biases(&of_scores, distances, length);
        }
        of_scores.iter_mut().for_each(|value| *value *= scale);
        let (mut of_query, mut of_key) = (vec![0.0; length * size], vec![0.0; length * size]);
        let rows = Matrix::rows(&of_scores, length);
        let [query, key] = [query, key].map(|values| block.of(values, dim, size));
        product((&mut of_query, size), shape, rows, key, 1.0, false, false);
        product((&mut of_key, size), shape, rows.transposed(), query, 1.0, false, false);
        if let Relation::Disentangled(distances, looks) = &spec.relation {
            let sides = [(query, &mut of_query), (key, &mut of_key)];
            let is_there = [looks.of_content, looks.of_distance];
            for (n, (side, of_side)) in sides.into_iter().enumerate().filter(|(n, _)| is_there[*n])
            {
                let (table, n_rows) = distances.part(tables[n], &block, dim, size);
                let of_products = by_distance(&of_scores, distances, length, n == 0);
                let of_products = Matrix::rows(&of_products, n_rows);
                let shape = [length, size, n_rows];
                product((of_side, size), shape, of_products, table, 1.0, true, false);
                let mut of_table = vec![0.0; n_rows * size];
                let shape = [n_rows, size, length];
                let turned = of_products.transposed();
                product((&mut of_table, size), shape, turned, side, 1.0, false, false);
                of_tables[n] = of_table;
            }
        }
        (block, [of_query, of_key, of_value], of_tables)
    });
    let mut parts: Vec<Part> = parts.collect();
    let of_tables = [0, 1].map(|n| of_table(&parts, n, tables[n].len(), dim, spec));
    let of_values = [0, 1, 2].map(|n| {
        let part = |(block, parts, _): &mut Part| (*block, std::mem::take(&mut parts[n]));
        joined(parts.iter_mut().map(part).collect(), of_context.len(), dim, size)
    });
    (of_values, of_tables)
}

/// Turns the gradient of a softmax into that of what went in.
fn softmax_backward(gradient: &mut [f32], attention: &[f32], length: usize) {
    vectors(|| {
        for (row, attention) in
            gradient.chunks_exact_mut(length).zip(attention.chunks_exact(length))
        {
            let along = dot(row, attention);
            row.iter_mut()
                .zip(attention)
                .for_each(|(value, attention)| *value = attention * (*value - along));
        }
    });
}

/// The gradients of one head's biases. Many scores share one.
fn of_biases(of_scores: &[f32], distances: &Distances, length: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; distances.n_rows];
    for (n, row) in of_scores.chunks_exact(length).enumerate() {
        let rows = row.iter().zip(distances.of_query(n, length));
        rows.for_each(|(value, at)| sums[at] += f64::from(*value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// The gradients of the products of queries, or of keys, with distances: `[length, distances]`.
fn by_distance(
    of_scores: &[f32],
    distances: &Distances,
    length: usize,
    is_of_queries: bool,
) -> Vec<f32> {
    let (first, last) = distances.bounds(length);
    let n_rows = last + 1 - first;
    let mut sums = vec![0.0; length * n_rows];
    for (i, row) in of_scores.chunks_exact(length).enumerate() {
        for ((j, value), at) in row.iter().enumerate().zip(distances.of_query(i, length)) {
            let side = if is_of_queries { i } else { j };
            sums[side * n_rows + at - first] += value;
        }
    }
    sums
}

/// The gradient of a table: the sum over all texts, in their order.
fn of_table(
    parts: &[Part],
    n: usize,
    n_values: usize,
    dim: usize,
    spec: &AttentionSpec,
) -> Vec<f32> {
    let mut sum = vec![0.0; n_values];
    for (block, _, of_tables) in parts {
        match &spec.relation {
            Relation::Biased(_) => {
                for (row, value) in of_tables[n].iter().enumerate() {
                    sum[row * spec.n_heads + block.head] += value;
                }
            }
            Relation::Disentangled(distances, _) => {
                let (size, first) = (dim / spec.n_heads, distances.bounds(block.length).0);
                for (row, values) in of_tables[n].chunks_exact(size).enumerate() {
                    let to = &mut sum[(first + row) * dim + block.head * size..][..size];
                    to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
                }
            }
            Relation::Plain | Relation::Turned(_) => (),
        }
    }
    sum
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
    spec: &AttentionSpec,
) -> std::borrow::Cow<'a, [f32]> {
    if spec.keep.is_none() {
        return attention.into();
    }
    let mut kept = attention.to_vec();
    drop_block(&mut kept, block, spec);
    kept.into()
}

fn drop_block(values: &mut [f32], block: &Block, spec: &AttentionSpec) {
    if let Some(Kept { flags, scale }) = &spec.keep {
        let flags = &flags[block.attention..];
        vectors(|| {
            values
                .iter_mut()
                .zip(flags)
                .for_each(|(value, is_kept)| *value *= if *is_kept { *scale } else { 0.0 });
        });
    }
}
