//! DistilBERT with a classification head; fields are named after the checkpoint's tensors, so that
//! a file loads itself. BERT, RoBERTa and ELECTRA are the same encoder with other embeddings and
//! names, which `checkpoint` translates.
//!
//! Source: "DistilBERT, a distilled version of BERT", and `modeling_distilbert.py` in
//! `transformers`. Hidden states are `[batch * seq, dim]` throughout, and on flex without padding:
//! linear layers then are one matrix product each.
#![expect(non_snake_case, reason = "the checkpoint calls one layer LayerNorm")]

mod batch;
mod dropout;
mod fused;

use std::f64::consts::SQRT_2;
use std::sync::Arc;

pub(crate) use batch::Batch;
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax, tanh};
use burn::tensor::{Device, Tensor};
use checkpoint::{Activation, Network};
pub(crate) use dropout::Dropout;

/// `DistilBertForSequenceClassification`; a base checkpoint has no head.
#[derive(Module, Debug)]
pub(crate) struct DistilBertClassifier {
    distilbert: DistilBert,
    pub(crate) pre_classifier: Option<Linear>,
    pub(crate) classifier: Option<Linear>,
}

#[derive(Module, Debug)]
struct DistilBert {
    embeddings: Embeddings,
    transformer: Transformer,
}

#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    /// BERT's; a text on its own is of kind 0 throughout, the second of a pair of kind 1.
    token_type_embeddings: Option<Embedding>,
    LayerNorm: LayerNorm,
    /// ELECTRA's: from narrow embeddings to the layers' width.
    projection: Option<Linear>,
}

#[derive(Module, Debug)]
struct Transformer {
    layer: Vec<TransformerBlock>,
}

#[derive(Module, Debug)]
struct TransformerBlock {
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
}

#[derive(Module, Debug)]
struct FeedForward {
    lin1: Linear,
    lin2: Linear,
}

impl DistilBertClassifier {
    /// The network without values: they are set by loading, and no memory is taken before.
    pub(crate) fn skeleton(network: &Network, head: Head, device: &Device) -> Self {
        let dim = network.dim;
        Self {
            distilbert: DistilBert {
                embeddings: Embeddings::skeleton(network, device),
                transformer: Transformer {
                    layer: (0..network.n_layers)
                        .map(|_| TransformerBlock::skeleton(network, device))
                        .collect(),
                },
            },
            pre_classifier: head.pre_classifier.then(|| linear(dim, dim, device)),
            classifier: head.n_labels.map(|n_labels| linear(dim, n_labels, device)),
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
        let hidden = self.distilbert.forward(batch, network, dropout);
        let first = match &batch.places {
            Some((_, firsts)) => hidden.select(0, firsts.clone()),
            None => hidden.reshape([batch.n_texts, batch.longest * network.dim]).narrow(
                1,
                0,
                network.dim,
            ),
        };
        let head = self.pre_classifier.as_ref().zip(self.classifier.as_ref());
        let (pre_classifier, classifier) = head.expect("a classifier with labels has a head");
        if batch.packed.is_some() {
            let pooled = fused::dense(pre_classifier, first, Some(network.head.activation));
            return fused::dense(
                classifier,
                dropout.apply(pooled, network.seq_classif_dropout),
                None,
            );
        }
        let pooled = active(pre_classifier.forward(first), network.head.activation);
        classifier.forward(dropout.apply(pooled, network.seq_classif_dropout))
    }
}

/// Which parts of the head a checkpoint has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) pre_classifier: bool,
    pub(crate) n_labels: Option<usize>,
}

impl DistilBert {
    fn forward(&self, batch: &Batch, network: &Network, dropout: &mut Dropout) -> Tensor<2> {
        let embedded = self.embeddings.forward(batch, network, dropout);
        let layers = self.transformer.layer.iter();
        layers.fold(embedded, |hidden, layer| layer.forward(hidden, batch, network, dropout))
    }
}

impl Embeddings {
    fn skeleton(network: &Network, device: &Device) -> Self {
        let embedding = |n| EmbeddingConfig::new(n, network.embedding_dim).init(device);
        Self {
            word_embeddings: embedding(network.vocab_size),
            position_embeddings: embedding(network.max_position_embeddings),
            token_type_embeddings: (network.type_vocab_size > 0)
                .then(|| embedding(network.type_vocab_size)),
            LayerNorm: layer_norm(network.embedding_dim, network, device),
            projection: network
                .has_projection()
                .then(|| linear(network.embedding_dim, network.dim, device)),
        }
    }

    fn forward(&self, batch: &Batch, network: &Network, dropout: &mut Dropout) -> Tensor<2> {
        let embedded = self.embed(batch, network, dropout);
        match &self.projection {
            Some(projection) if batch.packed.is_some() => fused::dense(projection, embedded, None),
            Some(projection) => projection.forward(embedded),
            None => embedded,
        }
    }

    fn embed(&self, batch: &Batch, network: &Network, dropout: &mut Dropout) -> Tensor<2> {
        let words = self.word_embeddings.forward(batch.ids.clone());
        if let Some((within, _)) = &batch.places {
            let mut hidden = words + self.position_embeddings.forward(within.clone());
            if let Some(kinds) = &self.token_type_embeddings {
                hidden = hidden + of_kinds(kinds, batch);
            }
            let [_, n_tokens, dim] = hidden.dims();
            let hidden = fused::layer_norm(
                &self.LayerNorm,
                hidden.reshape([n_tokens, dim]),
                network.layer_norm_eps,
            );
            return dropout.apply(hidden, network.dropout);
        }
        let Batch { n_texts, longest, .. } = *batch;
        let mut positions = match &batch.positions {
            Some(positions) => self.position_embeddings.forward(positions.clone()),
            None => self.position_embeddings.weight.val().narrow(0, 0, longest).unsqueeze::<3>(),
        };
        if let Some(kinds) = &self.token_type_embeddings {
            positions = positions + of_kinds(kinds, batch);
        }
        let hidden = (words + positions).reshape([n_texts * longest, network.embedding_dim]);
        dropout.apply(self.LayerNorm.forward(hidden), network.dropout)
    }
}

/// What is added for the kind of each token; where all are of the first, of one row for all.
fn of_kinds(table: &Embedding, batch: &Batch) -> Tensor<3> {
    match &batch.kinds {
        Some(kinds) => table.forward(kinds.clone()),
        None => table.weight.val().narrow(0, 0, 1).unsqueeze::<3>(),
    }
}

impl TransformerBlock {
    fn skeleton(network: &Network, device: &Device) -> Self {
        let (dim, hidden_dim) = (network.dim, network.hidden_dim);
        let square = || linear(dim, dim, device);
        Self {
            attention: Attention {
                q_lin: square(),
                k_lin: square(),
                v_lin: square(),
                out_lin: square(),
            },
            sa_layer_norm: layer_norm(network.dim, network, device),
            ffn: FeedForward {
                lin1: linear(dim, hidden_dim, device),
                lin2: linear(hidden_dim, dim, device),
            },
            output_layer_norm: layer_norm(network.dim, network, device),
        }
    }

    fn forward(
        &self,
        hidden: Tensor<2>,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        if let Some(lengths) = &batch.packed {
            return fused::encoder_layer(
                hidden,
                self.tensors(),
                Arc::new(spec(lengths, network, dropout)),
            );
        }
        let attended = self.attention.forward(hidden.clone(), batch, network, dropout);
        let attended = self.sa_layer_norm.forward(attended + hidden);
        let transformed = self.ffn.forward(attended.clone(), network, dropout);
        self.output_layer_norm.forward(transformed + attended)
    }
}

impl TransformerBlock {
    /// Everything that the fused layer takes, in its order.
    fn tensors(&self) -> fused::LayerTensors {
        let Attention { q_lin, k_lin, v_lin, out_lin } = &self.attention;
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

/// What the fused layer is told besides its tensors.
fn spec(lengths: &[usize], network: &Network, dropout: &mut Dropout) -> fused::LayerSpec {
    let n_values = lengths.iter().sum::<usize>() * network.dim;
    let n_attention = fused::LayerSpec::n_attention(lengths, network.n_heads);
    let attended = if network.drops_attended { network.dropout } else { 0.0 };
    fused::LayerSpec {
        lengths: lengths.to_vec(),
        n_heads: network.n_heads,
        epsilon: network.layer_norm_eps as f32,
        activation: network.activation,
        keep_attention: dropout.kept(n_attention, network.attention_dropout),
        keep_attended: dropout.kept(n_values, attended),
        keep_output: dropout.kept(n_values, network.dropout),
    }
}

impl Attention {
    /// Masked softmax attention with several heads.
    /// `hidden`: `[batch * seq, dim]`. Returns the same shape.
    /// Source: "Attention Is All You Need", eq. 1; same as `DistilBertSelfAttention` in
    /// `transformers`.
    fn forward(
        &self,
        hidden: Tensor<2>,
        batch: &Batch,
        network: &Network,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let Batch { n_texts, longest, .. } = *batch;
        let size = network.dim / network.n_heads;
        let heads = |flat: Tensor<2>| {
            flat.reshape([n_texts, longest, network.n_heads, size]).swap_dims(1, 2)
        };
        let query = heads(self.q_lin.forward(hidden.clone()));
        let key = heads(self.k_lin.forward(hidden.clone()));
        let value = heads(self.v_lin.forward(hidden));
        let mut scores = query.matmul(key.swap_dims(2, 3)) / (size as f64).sqrt();
        if let Some(padding) = &batch.padding {
            scores = scores + padding.clone();
        }
        let attention = dropout.apply(softmax(scores, 3), network.attention_dropout);
        let context = attention.matmul(value).swap_dims(1, 2);
        let attended = self.out_lin.forward(context.reshape([n_texts * longest, network.dim]));
        let probability = if network.drops_attended { network.dropout } else { 0.0 };
        dropout.apply(attended, probability)
    }
}

impl FeedForward {
    fn forward(&self, hidden: Tensor<2>, network: &Network, dropout: &mut Dropout) -> Tensor<2> {
        let wide = self.lin1.forward(hidden);
        let wide = active(wide, network.activation);
        dropout.apply(self.lin2.forward(wide), network.dropout)
    }
}

/// Those that [`is_trained`] lets through.
fn active(values: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::Relu => relu(values),
        Activation::Tanh => tanh(values),
        _ => exact_gelu(values),
    }
}

/// Whether a network is made of parts that are here; which one is not, otherwise.
pub(crate) fn is_trained(network: &Network) -> Result<(), String> {
    match network.activation {
        Activation::Gelu | Activation::Relu => Ok(()),
        other => Err(format!("its activation {other:?}")),
    }
}

/// GELU by the error function, and so its derivative; that of burn's own is the approximation by
/// tanh on some backends.
fn exact_gelu(values: Tensor<2>) -> Tensor<2> {
    let share = ((values.clone() / SQRT_2).erf() + 1.0) * 0.5;
    values * share
}

fn linear(d_input: usize, d_output: usize, device: &Device) -> Linear {
    LinearConfig::new(d_input, d_output).init(device)
}

fn layer_norm(dim: usize, network: &Network, device: &Device) -> LayerNorm {
    LayerNormConfig::new(dim).with_epsilon(network.layer_norm_eps).init(device)
}
