//! Attention, text by text and head by head: packed texts never look at each other, so there is
//! nothing to mask.

mod distances;
mod rotary;

use std::ops::Range;
use std::sync::Arc;

pub(super) use self::distances::{Biases, Columns, Distances};
pub(super) use self::rotary::{Turns, turn};
use super::kernels::{Block, Grid, Isa, LINE, Line, Rows, attend_first, softmax};

/// Multi-head attention over packed texts.
/// Source: "Attention Is All You Need", eq. 1; same as `MultiHeadSelfAttention` in `transformers`,
/// up to its `out_lin`.
pub(super) struct Attention {
    pub(super) isa: Isa,
    pub(super) dim: usize,
    pub(super) n_heads: usize,
    pub(super) scores: Scores,
}

/// What makes the scores besides queries and keys.
pub(super) enum Scores {
    /// Nothing.
    Plain,
    /// A bias by distance and head.
    Biased(Arc<Biases>),
    /// What contents are to distances.
    Disentangled(Distances),
    /// Tokens that are farther away do not count.
    Window(usize),
}

/// What one thread uses again for each head.
#[derive(Default)]
struct Scratch {
    keys: Vec<Line>,
    values: Vec<Line>,
    scores: Vec<f32>,
    /// Products of queries, and of keys, with distances.
    of_distances: [Vec<f32>; 2],
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
            self.attend(head, [0, 1, 2].map(part), scratch, &mut block);
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
        let stride = 2 * self.dim;
        let query = |text: usize, head: usize| {
            &queries[text * self.dim + head * self.head_dim()..][..self.head_dim()]
        };
        let keys = |text: usize, head: usize| {
            &keys_and_values[texts[text].start * stride + head * self.head_dim()..]
        };
        let grid = Grid::new(context, self.dim);
        if matches!(self.scores, Scores::Plain) {
            let work = |scores: &mut Vec<f32>, text: usize, head: usize, mut block: Block<'_>| {
                let (query, keys) = (query(text, head), keys(text, head));
                scores.resize(texts[text].len(), 0.0);
                attend_first(query, keys, &keys[self.dim..], stride, scores, block.row(0));
            };
            return grid.for_each_block(&rows, &self.heads(), work);
        }
        let work = |scratch: &mut Scratch, text: usize, head: usize, mut block: Block<'_>| {
            let (n_tokens, head_dim) = (texts[text].len(), self.head_dim());
            let (query, keys) = (query(text, head), keys(text, head));
            let parts = [
                Rows::new(query, 1, head_dim, head_dim),
                Rows::new(keys, n_tokens, head_dim, stride),
                Rows::new(&keys[self.dim..], n_tokens, head_dim, stride),
            ];
            self.attend(head, parts, scratch, &mut block);
        };
        grid.for_each_block(&rows, &self.heads(), work);
    }

    fn head_dim(&self) -> usize {
        self.dim / self.n_heads
    }

    /// The columns of each head.
    fn heads(&self) -> Vec<Range<usize>> {
        (0..self.n_heads).map(|head| head * self.head_dim()..(head + 1) * self.head_dim()).collect()
    }

    /// One head of one text, for as many of its first tokens as there are queries; the scores of a
    /// tile's rows stay in the cache between the two products.
    fn attend(
        &self,
        head: usize,
        [queries, keys, values]: [Rows<'_>; 3],
        scratch: &mut Scratch,
        context: &mut Block<'_>,
    ) {
        let (isa, n_tokens, head_dim) = (self.isa, keys.n_rows(), self.head_dim());
        let (width, n_lines) = (isa.width(), isa.n_lines());
        pack_keys(keys, n_lines, head_dim, &mut scratch.keys);
        pack_values(values, n_lines, head_dim, &mut scratch.values);
        if let Scores::Disentangled(distances) = &self.scores {
            distances.multiply(isa, head, [queries, keys], &mut scratch.of_distances);
        }
        let zeros = [0.0; 2 * LINE];
        for tile in isa.tiles(queries.n_rows()) {
            let seen = self.scores.seen(&tile, n_tokens, width);
            let stride = seen.len().next_multiple_of(width);
            scratch.scores.resize(tile.len() * stride, 0.0);
            let mut scores = Block::whole(&mut scratch.scores, stride);
            let queries = queries.part(tile.clone());
            let panels = scratch.keys.chunks_exact(head_dim * n_lines).skip(seen.start / width);
            for (n, panel) in panels.take(stride / width).enumerate() {
                isa.multiply(
                    queries,
                    panel,
                    &zeros[..width],
                    &mut scores.part(0..tile.len(), n * width..(n + 1) * width),
                );
            }
            for (row, query) in scratch.scores.chunks_exact_mut(stride).zip(tile.clone()) {
                let row = &mut row[..seen.len()];
                self.scores.adjust(head, query, seen.start, row, n_tokens, &scratch.of_distances);
            }
            softmax(&mut scratch.scores, stride, seen.len(), self.scores.scale(head_dim));
            let scores = Rows::new(&scratch.scores, tile.len(), seen.len(), stride);
            for (n, panel) in scratch.values.chunks_exact(n_tokens * n_lines).enumerate() {
                let columns = n * width..head_dim.min((n + 1) * width);
                isa.multiply(
                    scores,
                    &panel[seen.start * n_lines..seen.end * n_lines],
                    &zeros[..width],
                    &mut context.part(tile.clone(), columns),
                );
            }
        }
    }
}

impl Scores {
    /// The keys that some queries look at, from the beginning of a panel on.
    fn seen(&self, queries: &Range<usize>, n_tokens: usize, width: usize) -> Range<usize> {
        match self {
            Self::Window(window) => {
                let first = queries.start.saturating_sub(*window) / width * width;
                first..n_tokens.min(queries.end + window)
            }
            _ => 0..n_tokens,
        }
    }

    /// What all scores are multiplied with.
    fn scale(&self, head_dim: usize) -> f32 {
        match self {
            Self::Disentangled(distances) => distances.scale(head_dim),
            _ => 1.0 / (head_dim as f32).sqrt(),
        }
    }

    /// Adds to the scores of one query, before they are scaled, what they have besides its products
    /// with keys. `row`: those of the keys from `first` on.
    fn adjust(
        &self,
        head: usize,
        query: usize,
        first: usize,
        row: &mut [f32],
        n_tokens: usize,
        of_distances: &[Vec<f32>; 2],
    ) {
        match self {
            Self::Plain => (),
            Self::Biased(biases) => biases.add(head, query, row),
            Self::Disentangled(distances) => distances.add(query, row, n_tokens, of_distances),
            Self::Window(window) => {
                for (key, score) in row.iter_mut().enumerate() {
                    if (first + key).abs_diff(query) > *window {
                        *score = f32::NEG_INFINITY;
                    }
                }
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
