//! Attention, text by text and head by head: packed texts never look at each other, so there is
//! nothing to mask.

use std::ops::Range;

use super::kernels::{Block, Grid, Isa, LINE, Line, Rows, attend_first, softmax};

/// Multi-head attention over packed texts.
/// Source: "Attention Is All You Need", eq. 1; same as `MultiHeadSelfAttention` in `transformers`,
/// up to its `out_lin`.
#[derive(Clone, Copy)]
pub(super) struct Attention {
    pub(super) isa: Isa,
    pub(super) dim: usize,
    pub(super) n_heads: usize,
}

/// What one thread uses again for each head.
#[derive(Default)]
struct Scratch {
    keys: Vec<Line>,
    values: Vec<Line>,
    scores: Vec<f32>,
}

impl Attention {
    /// Computes the context of every token.
    /// `qkv`: `[tokens, 3 · dim]`: queries, keys, values; `texts`: the rows of each; `context`
    /// becomes `[tokens, dim]`.
    pub(super) fn apply(&self, qkv: &[f32], texts: &[Range<usize>], context: &mut Vec<f32>) {
        context.resize(qkv.len() / 3, 0.0);
        let work = |scratch: &mut Scratch, text: usize, head: usize, mut block: Block<'_>| {
            let part = |n: usize| {
                let first =
                    texts[text].start * 3 * self.dim + n * self.dim + head * self.head_dim();
                Rows::new(&qkv[first..], texts[text].len(), self.head_dim(), 3 * self.dim)
            };
            self.attend([0, 1, 2].map(part), scratch, &mut block);
        };
        Grid::new(context, self.dim).for_each_block(texts, &self.heads(), work);
    }

    /// Computes the context of each text's first token only.
    /// `queries`: `[texts, dim]`; `keys_and_values`: `[tokens, 2 · dim]`; `context` becomes
    /// `[texts, dim]`.
    pub(super) fn apply_to_first(
        &self,
        queries: &[f32],
        keys_and_values: &[f32],
        texts: &[Range<usize>],
        context: &mut Vec<f32>,
    ) {
        context.resize(texts.len() * self.dim, 0.0);
        let rows: Vec<_> = (0..texts.len()).map(|text| text..text + 1).collect();
        let work = |scores: &mut Vec<f32>, text: usize, head: usize, mut block: Block<'_>| {
            let (column, stride) = (head * self.head_dim(), 2 * self.dim);
            let query = &queries[text * self.dim + column..][..self.head_dim()];
            let keys = &keys_and_values[texts[text].start * stride + column..];
            scores.resize(texts[text].len(), 0.0);
            attend_first(query, keys, &keys[self.dim..], stride, scores, block.row(0));
        };
        Grid::new(context, self.dim).for_each_block(&rows, &self.heads(), work);
    }

    fn head_dim(&self) -> usize {
        self.dim / self.n_heads
    }

    /// The columns of each head.
    fn heads(&self) -> Vec<Range<usize>> {
        (0..self.n_heads).map(|head| head * self.head_dim()..(head + 1) * self.head_dim()).collect()
    }

    /// One head of one text; the scores of a tile's rows stay in the cache between the two
    /// products.
    fn attend(
        &self,
        [queries, keys, values]: [Rows<'_>; 3],
        scratch: &mut Scratch,
        context: &mut Block<'_>,
    ) {
        let (isa, n_tokens, head_dim) = (self.isa, keys.n_rows(), self.head_dim());
        let (width, n_lines) = (isa.width(), isa.n_lines());
        let stride = n_tokens.next_multiple_of(width);
        pack_keys(keys, n_lines, head_dim, &mut scratch.keys);
        pack_values(values, n_lines, head_dim, &mut scratch.values);
        let zeros = [0.0; 2 * LINE];
        for tile in isa.tiles(n_tokens) {
            scratch.scores.resize(tile.len() * stride, 0.0);
            let mut scores = Block::whole(&mut scratch.scores, stride);
            let queries = queries.part(tile.clone());
            for (n, panel) in scratch.keys.chunks_exact(head_dim * n_lines).enumerate() {
                isa.multiply(
                    queries,
                    panel,
                    &zeros[..width],
                    &mut scores.part(0..tile.len(), n * width..(n + 1) * width),
                );
            }
            softmax(&mut scratch.scores, stride, n_tokens, 1.0 / (head_dim as f32).sqrt());
            let scores = Rows::new(&scratch.scores, tile.len(), n_tokens, stride);
            for (n, panel) in scratch.values.chunks_exact(n_tokens * n_lines).enumerate() {
                let columns = n * width..head_dim.min((n + 1) * width);
                isa.multiply(
                    scores,
                    panel,
                    &zeros[..width],
                    &mut context.part(tile.clone(), columns),
                );
            }
        }
    }
}

/// Panels of keys as columns: `[panels, head_dim, width]`, zeros behind the last key.
fn pack_keys(keys: Rows<'_>, n_lines: usize, head_dim: usize, panels: &mut Vec<Line>) {
    panels.clear();
    let n_panels = keys.n_rows().div_ceil(n_lines * LINE);
    panels.resize(n_panels * head_dim * n_lines, Line([0.0; LINE]));
    for token in 0..keys.n_rows() {
        let (panel, line, lane) = (token / (n_lines * LINE), token / LINE % n_lines, token % LINE);
        let lines = panels[panel * head_dim * n_lines + line..].iter_mut().step_by(n_lines);
        for (line, x) in lines.zip(keys.row(token)) {
            line.0[lane] = *x;
        }
    }
}

/// Panels of values: `[panels, tokens, width]`, zeros behind the last column.
fn pack_values(values: Rows<'_>, n_lines: usize, head_dim: usize, panels: &mut Vec<Line>) {
    panels.clear();
    for first in (0..head_dim).step_by(n_lines * LINE) {
        for token in 0..values.n_rows() {
            let row = &values.row(token)[first..];
            for line in 0..n_lines {
                let mut packed = Line([0.0; LINE]);
                let rest = row.get(line * LINE..).unwrap_or_default();
                packed.0.iter_mut().zip(rest).for_each(|(x, value)| *x = *value);
                panels.push(packed);
            }
        }
    }
}
