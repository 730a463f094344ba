//! A layer with its LayerNorms before attention and feed-forward network, whose places turn queries
//! and keys: ModernBERT's.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use checkpoint::{Block, Network};

use super::attention::{OfDistances, attend};
use super::parts::{dense, gated, layer_norm, linear, normed};
use super::relation::Relation;
use super::{Batch, Dropout};

/// `ModernBertEncoderLayer` in `transformers`.
#[derive(Module, Debug)]
pub(super) struct TurnedBlock {
    attention: Attention,
    /// The first layer has none.
    sa_layer_norm: Option<LayerNorm>,
    ffn: FeedForward,
    output_layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Attention {
    qkv_lin: Linear,
    out_lin: Linear,
}

#[derive(Module, Debug)]
struct FeedForward {
    /// What is activated, and what it is multiplied with, side by side.
    lin1: Linear,
    lin2: Linear,
}

impl TurnedBlock {
    /// That of a network whose layers are put together so; none where they are not.
    pub(super) fn skeleton(network: &Network, n: usize, device: &Device) -> Option<Self> {
        let Block::PreNorm { attention_has_bias, ffn_has_bias, norm_has_bias } = network.block
        else {
            return None;
        };
        let &Network { dim, hidden_dim, layer_norm_eps, .. } = network;
        let norm = || layer_norm(dim, layer_norm_eps, norm_has_bias, device);
        Some(Self {
            attention: Attention {
                qkv_lin: linear(dim, 3 * dim, attention_has_bias, device),
                out_lin: linear(dim, dim, attention_has_bias, device),
            },
            sa_layer_norm: (n > 0).then(norm),
            ffn: FeedForward {
                lin1: linear(dim, 2 * hidden_dim, ffn_has_bias, device),
                lin2: linear(hidden_dim, dim, ffn_has_bias, device),
            },
            output_layer_norm: norm(),
        })
    }

    /// `hidden`: `[batch * seq, dim]`. Returns the same shape.
    pub(super) fn forward(
        &self,
        hidden: Tensor<2>,
        relation: &Relation,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let epsilon = network.layer_norm_eps;
        let input = match &self.sa_layer_norm {
            Some(norm) => normed(norm, hidden.clone(), epsilon, batch),
            None => hidden.clone(),
        };
        let qkv = dense(&self.attention.qkv_lin, input, None, batch);
        let part = |n: usize| qkv.clone().narrow(1, n * network.dim, network.dim);
        let of_distances = (relation, OfDistances::default());
        let context = attend([0, 1, 2].map(part), of_distances, batch, network, dropout);
        let attended = dense(&self.attention.out_lin, context, None, batch);
        let hidden = hidden + dropout.apply(attended, network.dropout.attended);
        let input = normed(&self.output_layer_norm, hidden.clone(), epsilon, batch);
        let wide = dense(&self.ffn.lin1, input, None, batch);
        let product = dropout.apply(gated(wide, network.activation, batch), network.dropout.fed);
        hidden + dense(&self.ffn.lin2, product, None, batch)
    }
}
