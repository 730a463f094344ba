//! From token ids to the first layer's input.
#![expect(non_snake_case, reason = "the checkpoint calls one layer LayerNorm")]

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use checkpoint::{Network, Positions};

use super::parts::{dense, layer_norm, linear, normed};
use super::{Batch, Dropout};

#[derive(Module, Debug)]
pub(super) struct Embeddings {
    word_embeddings: Embedding,
    /// None where layers know places by themselves.
    position_embeddings: Option<Embedding>,
    /// BERT's; a text on its own is of kind 0 throughout, the second of a pair of kind 1.
    token_type_embeddings: Option<Embedding>,
    LayerNorm: LayerNorm,
    /// ELECTRA's: from narrow embeddings to the layers' width.
    projection: Option<Linear>,
}

impl Embeddings {
    pub(super) fn skeleton(network: &Network, norm_has_bias: bool, device: &Device) -> Self {
        let dim = network.embedding_dim;
        let embedding = |n| EmbeddingConfig::new(n, dim).init(device);
        Self {
            word_embeddings: embedding(network.vocab_size),
            position_embeddings: (network.positions != Positions::None)
                .then(|| embedding(network.max_position_embeddings)),
            token_type_embeddings: (network.type_vocab_size > 0)
                .then(|| embedding(network.type_vocab_size)),
            LayerNorm: layer_norm(dim, network.layer_norm_eps, norm_has_bias, device),
            projection: network.has_projection().then(|| linear(dim, network.dim, true, device)),
        }
    }

    /// `[batch * seq, dim]`.
    pub(super) fn forward(
        &self,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let mut hidden = self.word_embeddings.forward(batch.ids.clone());
        let [n_rows, n_columns, dim] = hidden.dims();
        if let Some(positions) = &self.position_embeddings {
            hidden = hidden
                + match &batch.positions {
                    Some(places) => positions.forward(places.clone()),
                    None => positions.weight.val().narrow(0, 0, n_columns).unsqueeze::<3>(),
                };
        }
        if let Some(kinds) = &self.token_type_embeddings {
            hidden = hidden
                + match &batch.kinds {
                    Some(of_tokens) => kinds.forward(of_tokens.clone()),
                    // All are of the first: one row for all.
                    None => kinds.weight.val().narrow(0, 0, 1).unsqueeze::<3>(),
                };
        }
        let hidden = hidden.reshape([n_rows * n_columns, dim]);
        let hidden = normed(&self.LayerNorm, hidden, network.layer_norm_eps, batch);
        let hidden = dropout.apply(hidden, network.dropout.embedded);
        match &self.projection {
            Some(projection) => dense(projection, hidden, None, batch),
            None => hidden,
        }
    }
}
