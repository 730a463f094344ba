//! How the tokens of a batch's texts relate by their places: computed once for all layers.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use checkpoint::{Attention, Disentangled, Network, Rotary, bucket, frequencies};

/// What attention's scores have besides queries and keys.
#[derive(Debug, Clone)]
pub(crate) enum Relation {
    /// Nothing.
    Plain,
    /// A bias by distance and head: a row of a table `[distances, heads]`.
    Biased(Arc<Distances>),
    /// What contents are to distances.
    Disentangled(Arc<Distances>, Looks),
    /// Queries and keys are turned by their places.
    Turned(Arc<Turns>),
}

/// Which sides of a score look at distances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks {
    /// Queries: `c2p`.
    pub(crate) of_content: bool,
    /// Keys: `p2c`.
    pub(crate) of_distance: bool,
}

/// The rows that distances have in a table, of which only those that the longest text needs are
/// there.
#[derive(Debug)]
pub(crate) struct Distances {
    /// Rows of the whole table before the first that is there.
    pub(crate) first: usize,
    pub(crate) n_rows: usize,
    /// How far a query is behind its key, from the most negative on; which row that is.
    by_distance: Vec<usize>,
    longest: usize,
}

/// Angles by place, and how far a token sees.
#[derive(Debug)]
pub(crate) struct Turns {
    /// `[places, head_dim / 2]` of each.
    pub(crate) cosines: Vec<f32>,
    pub(crate) sines: Vec<f32>,
    pub(crate) half: usize,
    /// Places that a token sees in each direction; none where it sees all.
    pub(crate) window: Option<usize>,
}

impl Relation {
    /// Those of a network's layers; the second is of layers that see their neighbours only.
    pub(super) fn all(network: &Network, longest: usize) -> Vec<Self> {
        match &network.attention {
            Attention::Plain => vec![Self::Plain],
            Attention::Biased { n_buckets } => {
                let row = |distance: i64| bucket(-distance, *n_buckets);
                let distances = Distances::new(longest, 0, *n_buckets, row);
                vec![Self::Biased(Arc::new(distances))]
            }
            Attention::Disentangled(kind) => vec![Self::disentangled(kind, longest)],
            Attention::Rotary(rotary) => {
                let head_dim = network.dim / network.n_heads;
                let turns = |theta, window| Turns::new(longest, head_dim, theta, window);
                let Rotary { theta, local_theta, window, .. } = *rotary;
                let all = [turns(theta, None), turns(local_theta, Some(window))];
                all.map(|turns| Self::Turned(Arc::new(turns))).into()
            }
        }
    }

    fn disentangled(kind: &Disentangled, longest: usize) -> Self {
        let (far, looks) = (
            longest as i64 - 1,
            Looks { of_content: kind.of_content, of_distance: kind.of_distance },
        );
        let (first, last) = (kind.row(-far), kind.row(far));
        let row = |distance| kind.row(distance) - first;
        let distances = Distances::new(longest, first, last + 1 - first, row);
        Self::Disentangled(Arc::new(distances), looks)
    }

    /// What products of queries and keys of so many numbers are multiplied with.
    pub(super) fn scale(&self, head_dim: usize) -> f64 {
        let n_parts = match self {
            Self::Disentangled(_, Looks { of_content, of_distance }) => {
                1 + usize::from(*of_content) + usize::from(*of_distance)
            }
            _ => 1,
        };
        1.0 / ((head_dim * n_parts) as f64).sqrt()
    }
}

impl Distances {
    fn new(longest: usize, first: usize, n_rows: usize, row: impl Fn(i64) -> usize) -> Self {
        let far = longest as i64 - 1;
        Self { first, n_rows, by_distance: (-far..=far).map(row).collect(), longest }
    }

    /// The rows of one query and a text's keys, the first key first.
    pub(super) fn of_query(&self, query: usize, n_keys: usize) -> impl Iterator<Item = usize> {
        let end = self.longest + query;
        self.by_distance[end - n_keys..end].iter().rev().copied()
    }

    /// The first and the last row that a text of so many tokens needs.
    pub(super) fn bounds(&self, n_tokens: usize) -> (usize, usize) {
        let row = |distance: usize| self.by_distance[distance];
        (row(self.longest - n_tokens), row(self.longest + n_tokens - 2))
    }

    /// The rows of all queries and keys: `[longest, longest]`.
    pub(super) fn rows(&self, device: &Device) -> Tensor<2, Int> {
        let n = self.longest;
        let rows = (0..n).flat_map(|query| self.of_query(query, n)).map(|row| row as i64);
        Tensor::from_data(TensorData::new(rows.collect::<Vec<i64>>(), [n, n]), device)
    }
}

impl Turns {
    fn new(longest: usize, head_dim: usize, theta: f64, window: Option<usize>) -> Self {
        let frequencies = frequencies(theta, head_dim);
        let angles = (0..longest)
            .flat_map(|place| frequencies.iter().map(move |frequency| place as f32 * frequency));
        // The same bits with any C library.
        let (sines, cosines) = angles.map(|angle| (libm::sinf(angle), libm::cosf(angle))).unzip();
        Self { cosines, sines, half: head_dim / 2, window }
    }

    /// The keys that a query sees.
    pub(super) fn seen(&self, query: usize, n_keys: usize) -> std::ops::Range<usize> {
        match self.window {
            Some(window) => query.saturating_sub(window)..n_keys.min(query + window + 1),
            None => 0..n_keys,
        }
    }
}
