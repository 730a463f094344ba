//! What the distance of two tokens adds to their score.

use std::sync::Arc;

use checkpoint::{Disentangled, Tensors};

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

/// The kind of a distance: small ones each for itself, greater ones by their logarithm up to 128,
/// each direction for itself. Source: `relative_position_bucket` in `modeling_mpnet.py`.
fn bucket(distance: i64, n_buckets: usize) -> usize {
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
        let (middle, span) = (max_tokens - 1, (kind.n_distances() / 2) as i64);
        let column = |place: usize| {
            let distance = place as i64 - middle as i64;
            let distance = match kind.n_buckets {
                Some(n_buckets) => bucketed(distance, n_buckets as i64, kind.max_distance),
                None => distance,
            };
            (distance + span).clamp(0, 2 * span - 1) as usize
        };
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
