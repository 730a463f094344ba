//! What the distance of two tokens adds to their score.

use std::sync::Arc;

use checkpoint::{Disentangled, Tensors, bucket};

use super::super::kernels::{Block, Isa, LINE, Line, Rows};
use super::super::linear::{Linear, Then};
use super::super::model::tensor;
use super::super::norm::Norm;
use super::pack_keys;

/// MPNet's: a number for each kind of distance and each head.
pub(in super::super) struct Biases {
    /// By head: the bias of each distance of a key from its query, from the most negative on;
    /// divided by what scores are multiplied with.
    by_head: Vec<Vec<f32>>,
    /// Where distance 0 is.
    middle: usize,
}

impl Biases {
    pub(in super::super) fn load(
        tensors: &Tensors,
        n_buckets: usize,
        max_tokens: usize,
        head_dim: usize,
    ) -> Self {
        let table = tensor(tensors, "distilbert.transformer.distance_bias.weight");
        let (values, n_heads) = (table.floats(), table.shape()[1]);
        let middle = max_tokens - 1;
        let unscaled = (head_dim as f32).sqrt();
        let of_head = |head: usize| {
            let bias = |place: usize| {
                let bucket = bucket(place as i64 - middle as i64, n_buckets);
                values[bucket * n_heads + head] * unscaled
            };
            (0..=2 * middle).map(bias).collect()
        };
        Self { by_head: (0..n_heads).map(of_head).collect(), middle }
    }

    pub(super) fn add(&self, head: usize, query: usize, row: &mut [f32]) {
        let biases = &self.by_head[head][self.middle - query..];
        row.iter_mut().zip(biases).for_each(|(score, bias)| *score += bias);
    }
}

/// DeBERTa's: what distances are to a layer's queries and keys.
pub(in super::super) struct Distances {
    /// By head, packed as keys: what contents look at (`c2p`).
    of_content: Option<Vec<Vec<Line>>>,
    /// And what looks at contents (`p2c`).
    of_distance: Option<Vec<Vec<Line>>>,
    columns: Arc<Columns>,
    head_dim: usize,
    width: usize,
}

/// Where the distances are in the table, the same for all layers.
pub(in super::super) struct Columns {
    /// From the most negative on.
    by_distance: Vec<usize>,
    /// Where distance 0 is.
    middle: usize,
}

impl Columns {
    pub(in super::super) fn of(kind: &Disentangled, max_tokens: usize) -> Self {
        let middle = max_tokens - 1;
        let column = |place: usize| kind.row(place as i64 - middle as i64);
        Self { by_distance: (0..=2 * middle).map(column).collect(), middle }
    }

    /// Those of a query to all keys behind the farthest that may be before it, the nearest first.
    fn from(&self, query: usize) -> impl Iterator<Item = usize> {
        self.by_distance[..=self.middle + query].iter().rev().copied()
    }
}

impl Distances {
    /// Projects the embeddings of distances as a layer does.
    pub(in super::super) fn load(
        tensors: &Tensors,
        layer: &str,
        kind: &Disentangled,
        (embeddings, columns): (&[f32], &Arc<Columns>),
        isa: Isa,
        [dim, n_heads]: [usize; 2],
    ) -> Self {
        let head_dim = dim / n_heads;
        let projected = |part: &str| {
            let part =
                if kind.shares_projections { part.to_owned() } else { format!("distance_{part}") };
            let linear =
                Linear::load(isa, tensors, &[&format!("{layer}.attention.{part}")], dim, dim);
            let mut rows = Vec::new();
            let input = Rows::new(embeddings, embeddings.len() / dim, dim, dim);
            linear.apply(input, &mut rows, dim, Then::Nothing);
            let packed = |head: usize| {
                let mut panels = Vec::new();
                let rows = Rows::new(&rows[head * head_dim..], rows.len() / dim, head_dim, dim);
                pack_keys(rows, isa.n_lines(), head_dim, &mut panels);
                panels
            };
            (0..n_heads).map(packed).collect()
        };
        Self {
            of_content: kind.of_content.then(|| projected("k_lin")),
            of_distance: kind.of_distance.then(|| projected("q_lin")),
            columns: Arc::clone(columns),
            head_dim,
            width: isa.width(),
        }
    }

    /// The embeddings of all distances, as every layer projects them.
    pub(in super::super) fn embeddings(
        tensors: &Tensors,
        kind: &Disentangled,
        epsilon: f64,
    ) -> Vec<f32> {
        let table = tensor(tensors, "distilbert.transformer.distances.weight");
        let mut rows = table.floats();
        if kind.is_normed {
            Norm::load(tensors, "distilbert.transformer.distance_norm", epsilon).rows(&mut rows);
        }
        rows
    }

    pub(super) fn scale(&self, head_dim: usize) -> f32 {
        let parts = [&self.of_content, &self.of_distance];
        let n_parts = 1 + parts.into_iter().flatten().count();
        1.0 / ((head_dim * n_parts) as f32).sqrt()
    }

    /// Multiplies queries and keys with those distances that a text has.
    pub(super) fn multiply(
        &self,
        isa: Isa,
        head: usize,
        [queries, keys]: [Rows<'_>; 2],
        products: &mut [Vec<f32>; 2],
    ) {
        let (first, stride) = self.panels(keys.n_rows());
        let zeros = [0.0; 2 * LINE];
        let sides = [(&self.of_content, queries), (&self.of_distance, keys)];
        for ((panels, left), products) in sides.into_iter().zip(products) {
            let Some(panels) = panels else { continue };
            let size = self.head_dim * isa.n_lines();
            products.resize(left.n_rows() * stride, 0.0);
            let mut block = Block::whole(products, stride);
            for tile in isa.tiles(left.n_rows()) {
                let panels = panels[head].chunks_exact(size).skip(first / self.width);
                for (n, panel) in panels.take(stride / self.width).enumerate() {
                    let columns = n * self.width..(n + 1) * self.width;
                    isa.multiply(
                        left.part(tile.clone()),
                        panel,
                        &zeros[..self.width],
                        &mut block.part(tile.clone(), columns),
                    );
                }
            }
        }
    }

    pub(super) fn add(
        &self,
        query: usize,
        row: &mut [f32],
        n_tokens: usize,
        products: &[Vec<f32>; 2],
    ) {
        let (first, stride) = self.panels(n_tokens);
        let [of_content, of_distance] = products;
        for ((key, score), column) in row.iter_mut().enumerate().zip(self.columns.from(query)) {
            let column = column - first;
            if self.of_content.is_some() {
                *score += of_content[query * stride + column];
            }
            if self.of_distance.is_some() {
                *score += of_distance[key * stride + column];
            }
        }
    }

    /// The first column of the panels that have a text's distances, and how many columns they have.
    fn panels(&self, n_tokens: usize) -> (usize, usize) {
        let Columns { by_distance, middle } = &*self.columns;
        let [first, last] = [middle + 1 - n_tokens, middle + n_tokens - 1].map(|n| by_distance[n]);
        let first = first / self.width * self.width;
        (first, (last + 1 - first).next_multiple_of(self.width))
    }
}
