//! An encoder with a classification head; fields are named after DistilBERT's tensors, so that a
//! file loads itself. Other architectures are the same under other names, which `checkpoint`
//! translates, or have parts of their own.
//!
//! Source: "DistilBERT, a distilled version of BERT", and `modeling_distilbert.py` in
//! `transformers`. Hidden states are `[batch * seq, dim]` throughout, and on flex without padding:
//! linear layers then are one matrix product each.

mod attention;
mod batch;
mod block;
mod convolution;
mod dropout;
mod embeddings;
mod fused;
mod parts;
mod relation;
mod turned;

pub(crate) use batch::Batch;
use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use checkpoint::{Attention, Block, Network, Pooling};
pub(crate) use dropout::Dropout;

use self::block::TransformerBlock;
use self::convolution::convolve;
use self::embeddings::Embeddings;
use self::parts::{dense, layer_norm, linear, normed};
use self::relation::Relation;
use self::turned::TurnedBlock;

/// `DistilBertForSequenceClassification`; a base checkpoint has no head.
#[derive(Module, Debug)]
pub(crate) struct DistilBertClassifier {
    distilbert: DistilBert,
    pub(crate) pre_classifier: Option<Linear>,
    pub(crate) head_layer_norm: Option<LayerNorm>,
    pub(crate) classifier: Option<Linear>,
}

#[derive(Module, Debug)]
struct DistilBert {
    embeddings: Embeddings,
    transformer: Transformer,
}

#[derive(Module, Debug)]
struct Transformer {
    /// Those that differ: some share their weights.
    layer: Vec<Layer>,
    /// MPNet's: a bias by kind of distance and head.
    distance_bias: Option<Embedding>,
    /// DeBERTa's: what a distance is.
    distances: Option<Embedding>,
    distance_norm: Option<LayerNorm>,
    /// DeBERTa's: what looks at neighbours behind the first layer.
    conv: Option<Conv1d>,
    conv_norm: Option<LayerNorm>,
    final_layer_norm: Option<LayerNorm>,
}

/// A layer, by how it is put together.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "all layers of a network are of one kind")]
enum Layer {
    PostNorm(TransformerBlock),
    PreNorm(TurnedBlock),
}

impl DistilBertClassifier {
    /// The network without values: they are set by loading, and no memory is taken before.
    pub(crate) fn skeleton(network: &Network, head: Head, device: &Device) -> Self {
        let dim = network.dim;
        Self {
            distilbert: DistilBert {
                embeddings: Embeddings::skeleton(network, norm_has_bias(network), device),
                transformer: Transformer::skeleton(network, device),
            },
            pre_classifier: head
                .pre_classifier
                .then(|| linear(dim, dim, network.head.has_bias, device)),
            head_layer_norm: new_head_norm(network, device).filter(|_| head.pre_classifier),
            classifier: head.n_labels.map(|n_labels| linear(dim, n_labels, true, device)),
        }
    }

    /// Logits: `[batch, labels]`.
    ///
    /// # Panics
    /// Without a head; whoever has labels has one.
    pub(crate) fn forward(
        &self,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let embedded = self.distilbert.embeddings.forward(batch, network, dropout);
        let hidden = self.distilbert.transformer.forward(embedded, batch, network, dropout);
        let rows = match network.head.pooling {
            Pooling::First => hidden.select(0, batch.firsts.clone()),
            Pooling::Mean => batch.means(hidden),
        };
        let rows = dropout.apply(rows, network.dropout.pooled);
        let head = self.pre_classifier.as_ref().zip(self.classifier.as_ref());
        let (pre_classifier, classifier) = head.expect("a classifier with labels has a head");
        let mut pooled = dense(pre_classifier, rows, Some(network.head.activation), batch);
        if let Some(norm) = &self.head_layer_norm {
            pooled = normed(norm, pooled, network.layer_norm_eps, batch);
        }
        dense(classifier, dropout.apply(pooled, network.dropout.classified), None, batch)
    }
}

/// Which parts of the head a checkpoint has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) pre_classifier: bool,
    pub(crate) n_labels: Option<usize>,
}

/// The head's LayerNorm that changes nothing, where a head has one.
pub(crate) fn new_head_norm(network: &Network, device: &Device) -> Option<LayerNorm> {
    let norm = || layer_norm(network.dim, network.layer_norm_eps, norm_has_bias(network), device);
    network.head.is_normed.then(norm)
}

impl Transformer {
    fn skeleton(network: &Network, device: &Device) -> Self {
        let &Network { dim, layer_norm_eps, n_heads, .. } = network;
        let layer = |n| match TurnedBlock::skeleton(network, n, device) {
            Some(layer) => Layer::PreNorm(layer),
            None => Layer::PostNorm(TransformerBlock::skeleton(network, device)),
        };
        let embedding = |n, dim| EmbeddingConfig::new(n, dim).init(device);
        let (mut distance_bias, mut distances, mut distance_norm) = (None, None, None);
        match &network.attention {
            Attention::Biased { n_buckets } => distance_bias = Some(embedding(*n_buckets, n_heads)),
            Attention::Disentangled(kind) => {
                distances = Some(embedding(kind.n_distances(), dim));
                let norm = || layer_norm(dim, layer_norm_eps, true, device);
                distance_norm = kind.is_normed.then(norm);
            }
            Attention::Plain | Attention::Rotary(_) => (),
        }
        let n_layers = network.n_groups.unwrap_or(network.n_layers);
        let conv = network
            .convolution
            .map(|convolution| Conv1dConfig::new(dim, dim, convolution.kernel).init(device));
        Self {
            conv_norm: conv.as_ref().map(|_| layer_norm(dim, layer_norm_eps, true, device)),
            conv,
            layer: (0..n_layers).map(layer).collect(),
            distance_bias,
            distances,
            distance_norm,
            final_layer_norm: (network.block != Block::PostNorm)
                .then(|| layer_norm(dim, layer_norm_eps, norm_has_bias(network), device)),
        }
    }

    fn forward(
        &self,
        embedded: Tensor<2>,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let table = self.table(batch, network);
        let is_local = |n: usize| match &network.attention {
            Attention::Rotary(rotary) => rotary.is_local[n],
            _ => false,
        };
        let conv = self.conv.as_ref().zip(self.conv_norm.as_ref()).zip(network.convolution);
        let mut convolution =
            conv.map(|((conv, norm), kind)| ((conv, norm, kind), embedded.clone()));
        let mut hidden = embedded;
        for n in 0..network.n_layers {
            hidden = match &self.layer[network.group(n)] {
                Layer::PostNorm(layer) => {
                    layer.forward(hidden, table.as_ref(), batch, network, dropout)
                }
                Layer::PreNorm(layer) => {
                    let relation = &batch.relations[usize::from(is_local(n))];
                    layer.forward(hidden, relation, batch, network, dropout)
                }
            };
            if let Some((convolution, embedded)) = convolution.take() {
                hidden = convolve(convolution, [embedded, hidden], batch, network, dropout);
            }
        }
        match &self.final_layer_norm {
            Some(norm) => normed(norm, hidden, network.layer_norm_eps, batch),
            None => hidden,
        }
    }

    /// What all layers know of the distances in a batch.
    fn table(&self, batch: &Batch, network: &Network) -> Option<Tensor<2>> {
        if let Some(biases) = &self.distance_bias {
            return Some(biases.weight.val());
        }
        let Relation::Disentangled(rows, _) = &batch.relations[0] else { return None };
        let distances = self.distances.as_ref()?.weight.val().narrow(0, rows.first, rows.n_rows);
        Some(match &self.distance_norm {
            Some(norm) => normed(norm, distances, network.layer_norm_eps, batch),
            None => distances,
        })
    }
}

fn norm_has_bias(network: &Network) -> bool {
    !matches!(network.block, Block::PreNorm { norm_has_bias: false, .. })
}
