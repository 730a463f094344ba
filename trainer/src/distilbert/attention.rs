//! Attention with several heads, up to its output layer.
//! Source: "Attention Is All You Need", eq. 1; same as the `eager_attention_forward` of each
//! architecture in `transformers`.

use std::sync::Arc;

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use checkpoint::Network;

use super::relation::{Distances, Looks, Relation, Turns};
use super::{Batch, Dropout, fused};

/// What a layer knows of distances, besides which is which: the biases' table, or what they are to
/// queries and to keys, `[distances, dim]` of each.
#[derive(Debug, Clone, Default)]
pub(super) struct OfDistances {
    pub(super) biases: Option<Tensor<2>>,
    pub(super) keys: Option<Tensor<2>>,
    pub(super) queries: Option<Tensor<2>>,
}

/// The context of each token. `query`, `key`, `value`: `[batch * seq, dim]`. Returns the same.
pub(super) fn attend(
    [query, key, value]: [Tensor<2>; 3],
    (relation, of_distances): (&Relation, OfDistances),
    batch: &Batch,
    network: &Network,
    dropout: &mut Dropout,
) -> Tensor<2> {
    if let Some(lengths) = &batch.packed {
        let OfDistances { biases, keys, queries } = of_distances;
        let spec = fused::AttentionSpec::new(lengths, network, relation.clone(), dropout);
        let all = [query, key, value];
        return fused::attend(all, [biases.or(keys), queries], Arc::new(spec));
    }
    let Batch { n_texts, longest, .. } = *batch;
    let size = network.dim / network.n_heads;
    let heads = |flat: Tensor<2>| {
        let rows = flat.dims()[0] / longest;
        flat.reshape([rows, longest, network.n_heads, size]).swap_dims(1, 2)
    };
    let (mut query, mut key, value) = (heads(query), heads(key), heads(value));
    if let Relation::Turned(turns) = relation {
        (query, key) = (turns.turned(query), turns.turned(key));
    }
    let mut scores = query.clone().matmul(key.clone().swap_dims(2, 3)) * relation.scale(size);
    match relation {
        Relation::Plain => (),
        Relation::Biased(distances) => {
            let table = of_distances.biases.expect("a biased layer has its table");
            scores = scores + distances.biases(table);
        }
        Relation::Disentangled(distances, looks) => {
            let added = distances.looked_at(*looks, [query, key], of_distances);
            if let Some(added) = added {
                scores = scores + added * relation.scale(size);
            }
        }
        Relation::Turned(turns) => {
            if let Some(mask) = turns.mask(longest, &scores) {
                scores = scores + mask;
            }
        }
    }
    if let Some(padding) = &batch.padding {
        scores = scores + padding.clone();
    }
    let attention = dropout.apply(softmax(scores, 3), network.dropout.attention);
    let context = attention.matmul(value).swap_dims(1, 2);
    context.reshape([n_texts * longest, network.dim])
}

impl Distances {
    /// `[1, heads, longest, longest]` of a table.
    fn biases(&self, table: Tensor<2>) -> Tensor<4> {
        let rows = self.rows(&table.device());
        let ([longest, _], [_, n_heads]) = (rows.dims(), table.dims());
        let biases = table.select(0, rows.reshape([longest * longest]));
        biases.reshape([1, longest, longest, n_heads]).permute([0, 3, 1, 2])
    }

    /// What queries and keys are to distances: `[texts, heads, queries, keys]`, not scaled.
    fn looked_at(
        &self,
        looks: Looks,
        [query, key]: [Tensor<4>; 2],
        of_distances: OfDistances,
    ) -> Option<Tensor<4>> {
        let [n_texts, n_heads, longest, size] = query.dims();
        let rows = self.rows(&query.device()).reshape([1, 1, longest, longest]);
        let products = |side: Tensor<4>, distances: Tensor<2>| {
            let distances = distances.reshape([1, self.n_rows, n_heads, size]);
            let distances =
                distances.permute([0, 2, 3, 1]).expand([n_texts, n_heads, size, self.n_rows]);
            side.matmul(distances)
        };
        let shape = [n_texts, n_heads, longest, longest];
        let of_query = of_distances
            .keys
            .filter(|_| looks.of_content)
            .map(|distances| products(query, distances).gather(3, rows.clone().expand(shape)));
        let of_key = of_distances.queries.filter(|_| looks.of_distance).map(|distances| {
            let by_key = rows.swap_dims(2, 3).expand(shape);
            products(key, distances).gather(3, by_key).swap_dims(2, 3)
        });
        match (of_query, of_key) {
            (Some(of_query), Some(of_key)) => Some(of_query + of_key),
            (of_query, of_key) => of_query.or(of_key),
        }
    }
}

impl Turns {
    /// `[texts, heads, longest, size]`, each place turned by its angles.
    fn turned(&self, values: Tensor<4>) -> Tensor<4> {
        let (half, longest, device) = (self.half, values.dims()[2], values.device());
        let of_places = |values: &[f32]| {
            let values = TensorData::new(values[..longest * half].to_vec(), [1, 1, longest, half]);
            Tensor::<4>::from_data(values, &device)
        };
        let (cosines, sines) = (of_places(&self.cosines), of_places(&self.sines));
        let (left, right) = (values.clone().narrow(3, 0, half), values.narrow(3, half, half));
        let turned = [
            left.clone() * cosines.clone() - right.clone() * sines.clone(),
            right * cosines + left * sines,
        ];
        Tensor::cat(turned.into(), 3)
    }

    /// What is added to scores, so that nobody sees farther than it should.
    fn mask(&self, longest: usize, scores: &Tensor<4>) -> Option<Tensor<4>> {
        self.window?;
        // Beside it what padding adds must not overflow.
        const UNSEEN: f32 = -1e30;
        let of_query = |query: usize| {
            let seen = self.seen(query, longest);
            (0..longest).map(move |key| if seen.contains(&key) { 0.0 } else { UNSEEN })
        };
        let mask: Vec<f32> = (0..longest).flat_map(of_query).collect();
        let mask = TensorData::new(mask, [1, 1, longest, longest]);
        Some(Tensor::from_data(mask, &scores.device()))
    }
}
