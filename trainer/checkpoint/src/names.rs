//! Which tensors a network has, by our names, and their shapes.

use std::collections::BTreeMap;

use crate::architecture::Architecture;
use crate::network::{Attention, Block, Network, Positions};

/// Which parts of a head there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) has_pre_classifier: bool,
    pub(crate) n_labels: Option<usize>,
}

/// The checkpoint's names of all tensors of a network, and their shapes. Whoever asks knows that
/// its layers are not more than there are tensors.
pub(crate) fn expected(
    architecture: &Architecture,
    network: &Network,
    head: Head,
) -> BTreeMap<String, Vec<usize>> {
    let mut expected = Expected { architecture, tensors: BTreeMap::new() };
    expected.embeddings(network);
    let n_layers = network.n_groups.unwrap_or(network.n_layers);
    for n in 0..n_layers {
        expected.layer(network, n);
    }
    expected.encoder(network);
    if head.has_pre_classifier {
        expected.linear("pre_classifier", network.dim, network.dim, network.head.has_bias);
        if network.head.is_normed {
            expected.norm("head_layer_norm", network.dim, norm_has_bias(network));
        }
    }
    if let Some(n_labels) = head.n_labels {
        expected.linear("classifier", n_labels, network.dim, true);
    }
    expected.tensors
}

fn norm_has_bias(network: &Network) -> bool {
    !matches!(network.block, Block::PreNorm { norm_has_bias: false, .. })
}

struct Expected<'a> {
    architecture: &'a Architecture,
    tensors: BTreeMap<String, Vec<usize>>,
}

impl Expected<'_> {
    fn embeddings(&mut self, network: &Network) {
        let &Network { embedding_dim, dim, .. } = network;
        let n_positions = match network.positions {
            Positions::None => 0,
            _ => network.max_position_embeddings,
        };
        let kinds = [
            ("word", network.vocab_size),
            ("position", n_positions),
            ("token_type", network.type_vocab_size),
        ];
        for (kind, n_rows) in kinds.into_iter().filter(|(_, n_rows)| *n_rows > 0) {
            let name = format!("distilbert.embeddings.{kind}_embeddings.weight");
            self.tensor(&name, vec![n_rows, embedding_dim]);
        }
        self.norm("distilbert.embeddings.LayerNorm", embedding_dim, norm_has_bias(network));
        if network.has_projection() {
            self.linear("distilbert.embeddings.projection", dim, embedding_dim, true);
        }
    }

    fn layer(&mut self, network: &Network, n: usize) {
        let &Network { dim, hidden_dim, .. } = network;
        let layer = format!("distilbert.transformer.layer.{n}");
        let name = |part: &str| format!("{layer}.{part}");
        let (attention_has_bias, ffn_has_bias) = match network.block {
            Block::PostNorm => (true, true),
            Block::PreNorm { attention_has_bias, ffn_has_bias, .. } => {
                (attention_has_bias, ffn_has_bias)
            }
        };
        match network.block {
            Block::PostNorm => {
                for part in ["q_lin", "k_lin", "v_lin"] {
                    self.linear(&name(&format!("attention.{part}")), dim, dim, true);
                }
                self.linear(&name("ffn.lin1"), hidden_dim, dim, true);
            }
            Block::PreNorm { .. } => {
                let (qkv, gated) = (dim.saturating_mul(3), hidden_dim.saturating_mul(2));
                self.linear(&name("attention.qkv_lin"), qkv, dim, attention_has_bias);
                self.linear(&name("ffn.lin1"), gated, dim, ffn_has_bias);
            }
        }
        self.linear(&name("attention.out_lin"), dim, dim, attention_has_bias);
        self.linear(&name("ffn.lin2"), dim, hidden_dim, ffn_has_bias);
        if network.block == Block::PostNorm || n > 0 {
            self.norm(&name("sa_layer_norm"), dim, norm_has_bias(network));
        }
        self.norm(&name("output_layer_norm"), dim, norm_has_bias(network));
        if let Attention::Disentangled(kind) = &network.attention
            && !kind.shares_projections
        {
            let projections =
                [("distance_k_lin", kind.of_content), ("distance_q_lin", kind.of_distance)];
            for (part, _) in projections.into_iter().filter(|(_, is_there)| *is_there) {
                self.linear(&name(&format!("attention.{part}")), dim, dim, true);
            }
        }
    }

    /// What all layers share.
    fn encoder(&mut self, network: &Network) {
        let dim = network.dim;
        match &network.attention {
            Attention::Biased { n_buckets } => {
                let shape = vec![*n_buckets, network.n_heads];
                self.tensor("distilbert.transformer.distance_bias.weight", shape);
            }
            Attention::Disentangled(kind) => {
                let shape = vec![kind.n_distances(), dim];
                self.tensor("distilbert.transformer.distances.weight", shape);
                if kind.is_normed {
                    self.norm("distilbert.transformer.distance_norm", dim, true);
                }
            }
            Attention::Plain | Attention::Rotary(_) => (),
        }
        if let Some(convolution) = network.convolution {
            let shape = vec![dim, dim, convolution.kernel];
            self.tensor("distilbert.transformer.conv.weight", shape);
            self.tensor("distilbert.transformer.conv.bias", vec![dim]);
            self.norm("distilbert.transformer.conv_norm", dim, true);
        }
        if network.block != Block::PostNorm {
            self.norm("distilbert.transformer.final_layer_norm", dim, norm_has_bias(network));
        }
    }

    fn linear(&mut self, name: &str, n_out: usize, n_in: usize, has_bias: bool) {
        self.tensor(&format!("{name}.weight"), vec![n_out, n_in]);
        if has_bias {
            self.tensor(&format!("{name}.bias"), vec![n_out]);
        }
    }

    fn norm(&mut self, name: &str, dim: usize, has_bias: bool) {
        self.tensor(&format!("{name}.weight"), vec![dim]);
        if has_bias {
            self.tensor(&format!("{name}.bias"), vec![dim]);
        }
    }

    fn tensor(&mut self, name: &str, shape: Vec<usize>) {
        self.tensors.insert(self.architecture.tensor_name(name), shape);
    }
}
