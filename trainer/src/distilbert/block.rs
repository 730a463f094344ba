//! A layer with its LayerNorms behind attention and feed-forward network.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use checkpoint::{Attention as Kind, Network};

use super::attention::{OfDistances, attend};
use super::parts::{dense, layer_norm, linear, normed};
use super::relation::Relation;
use super::{Batch, Dropout, fused};

/// DistilBERT's `TransformerBlock`.
#[derive(Module, Debug)]
pub(super) struct TransformerBlock {
    attention: Attention,
    sa_layer_norm: LayerNorm,
    ffn: FeedForward,
    output_layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    q_lin: Linear,
    k_lin: Linear,
    v_lin: Linear,
    out_lin: Linear,
    /// DeBERTa's, where distances have projections of their own.
    distance_q_lin: Option<Linear>,
    distance_k_lin: Option<Linear>,
}

#[derive(Module, Debug)]
struct FeedForward {
    lin1: Linear,
    lin2: Linear,
}

impl TransformerBlock {
    pub(super) fn skeleton(network: &Network, device: &Device) -> Self {
        let &Network { dim, hidden_dim, layer_norm_eps, .. } = network;
        let square = || linear(dim, dim, true, device);
        let norm = || layer_norm(dim, layer_norm_eps, true, device);
        let [of_queries, of_keys] = match &network.attention {
            Kind::Disentangled(kind) if !kind.shares_projections => {
                [kind.of_distance, kind.of_content]
            }
            _ => [false; 2],
        };
        Self {
            attention: Attention {
                q_lin: square(),
                k_lin: square(),
                v_lin: square(),
                out_lin: square(),
                distance_q_lin: of_queries.then(square),
                distance_k_lin: of_keys.then(square),
            },
            sa_layer_norm: norm(),
            ffn: FeedForward {
                lin1: linear(dim, hidden_dim, true, device),
                lin2: linear(hidden_dim, dim, true, device),
            },
            output_layer_norm: norm(),
        }
    }

    /// `hidden`: `[batch * seq, dim]`; `table`: what all layers know of distances. Returns the shape
    /// of `hidden`.
    pub(super) fn forward(
        &self,
        hidden: Tensor<2>,
        table: Option<&Tensor<2>>,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let relation = &batch.relations[0];
        if let (Some(lengths), Relation::Plain) = (&batch.packed, relation) {
            let spec = fused::LayerSpec::new(lengths, network, dropout);
            return fused::encoder_layer(hidden, self.tensors(), Arc::new(spec));
        }
        let epsilon = network.layer_norm_eps;
        let attended =
            self.attention.forward(hidden.clone(), (relation, table), batch, network, dropout);
        let attended = normed(&self.sa_layer_norm, attended + hidden, epsilon, batch);
        let wide = dense(&self.ffn.lin1, attended.clone(), Some(network.activation), batch);
        let transformed = dense(&self.ffn.lin2, wide, None, batch);
        let transformed = dropout.apply(transformed, network.dropout.fed);
        normed(&self.output_layer_norm, transformed + attended, epsilon, batch)
    }

    /// Everything that the fused layer takes, in its order.
    fn tensors(&self) -> fused::LayerTensors {
        let Attention { q_lin, k_lin, v_lin, out_lin, .. } = &self.attention;
        let linears = [q_lin, k_lin, v_lin, out_lin, &self.ffn.lin1, &self.ffn.lin2];
        let norms = [&self.sa_layer_norm, &self.output_layer_norm];
        let biases = linears
            .iter()
            .map(|linear| linear.bias.as_ref().expect("every layer has a bias").val());
        let norms = norms.iter().flat_map(|norm| {
            [norm.gamma.val(), norm.beta.as_ref().expect("every LayerNorm has a shift").val()]
        });
        (linears.iter().map(|linear| linear.weight.val()).collect(), biases.chain(norms).collect())
    }
}

impl Attention {
    fn forward(
        &self,
        hidden: Tensor<2>,
        (relation, table): (&Relation, Option<&Tensor<2>>),
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let parts = [&self.q_lin, &self.k_lin, &self.v_lin]
            .map(|layer| dense(layer, hidden.clone(), None, batch));
        let of_distances = match (relation, table) {
            (Relation::Biased(_), Some(table)) => {
                OfDistances { biases: Some(table.clone()), ..OfDistances::default() }
            }
            (Relation::Disentangled(_, looks), Some(table)) => {
                let table = dropout.apply(table.clone(), network.dropout.embedded);
                let key = self.distance_k_lin.as_ref().unwrap_or(&self.k_lin);
                let query = self.distance_q_lin.as_ref().unwrap_or(&self.q_lin);
                let projected = |layer| dense(layer, table.clone(), None, batch);
                OfDistances {
                    keys: looks.of_content.then(|| projected(key)),
                    queries: looks.of_distance.then(|| projected(query)),
                    ..OfDistances::default()
                }
            }
            _ => OfDistances::default(),
        };
        let context = attend(parts, (relation, of_distances), batch, network, dropout);
        dropout.apply(dense(&self.out_lin, context, None, batch), network.dropout.attended)
    }
}
