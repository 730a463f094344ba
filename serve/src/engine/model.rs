//! An encoder with a classification head. Fields are named after DistilBERT's tensors; those of
//! other architectures are the same ones under other names, or parts of their own.

use std::ops::Range;
use std::sync::Arc;

use checkpoint::{Attention as Kind, Block as Shape, Config, Network, Pooling, Tensor, Tensors};

use super::attention::{Attention, Biases, Columns, Distances, Scores};
use super::convolution::Convolution;
use super::embeddings::Embeddings;
use super::head::Head;
use super::kernels::Isa;
use super::layer::Layer;
use super::norm::Norm;
use super::tokens::Tokens;
use super::turned::TurnedLayer;

/// Rows that one thread takes at a time in elementwise loops.
pub(super) const PIECE: usize = 16;

/// A classifier, ready to compute.
pub(super) struct Model {
    embeddings: Embeddings,
    encoder: Encoder,
    head: Head,
}

/// The layers, by how they are put together.
enum Encoder {
    PostNorm {
        /// Those that differ.
        layers: Vec<Layer>,
        /// Which of them is which.
        order: Vec<usize>,
        /// Behind the first, which is not the last.
        convolution: Option<Convolution>,
    },
    PreNorm {
        layers: Vec<TurnedLayer>,
        final_layer_norm: Norm,
    },
}

impl Model {
    /// Loads all but the word embeddings, whose rows stay in their file until they are asked for.
    /// Mapped pages are given back layer by layer, so that weights are never in memory twice.
    pub(super) fn load(tensors: &Tensors, config: &Config, isa: Isa) -> Self {
        let network = &config.network;
        Self {
            embeddings: Embeddings::load(tensors, network, isa),
            encoder: Encoder::load(tensors, network, isa),
            head: Head::load(tensors, network, config.labels.len(), isa),
        }
    }

    /// Computes one row of logits per text.
    /// The texts are packed back to back: all their tokens are the rows of one matrix, and no row
    /// is padding.
    pub(super) fn logits(&self, texts: &[&Tokens], space: &mut Space) -> Vec<f32> {
        let rows = rows(texts);
        self.embeddings.apply(texts, &mut space.hidden, &mut space.mixed);
        self.encoder.apply(&rows, self.head.pooling == Pooling::First, space);
        let Space { hidden, mixed, wide, .. } = space;
        self.head.apply(&rows, hidden, [mixed, wide])
    }
}

impl Encoder {
    fn load(tensors: &Tensors, network: &Network, isa: Isa) -> Self {
        let &Network { dim, n_heads, layer_norm_eps, .. } = network;
        if let (Shape::PreNorm { .. }, Kind::Rotary(rotary)) = (network.block, &network.attention) {
            let layer = |n: usize| {
                let layer = TurnedLayer::load(tensors, n, network, rotary, isa);
                tensors.give_pages_back();
                layer
            };
            let norm = "distilbert.transformer.final_layer_norm";
            return Self::PreNorm {
                layers: (0..network.n_layers).map(layer).collect(),
                final_layer_norm: Norm::load(tensors, norm, layer_norm_eps),
            };
        }
        let biases = match network.attention {
            Kind::Biased { n_buckets } => Some(Arc::new(Biases::load(
                tensors,
                n_buckets,
                network.max_tokens(),
                dim / n_heads,
            ))),
            _ => None,
        };
        let distances = match &network.attention {
            Kind::Disentangled(kind) => {
                let embeddings = Distances::embeddings(tensors, kind, layer_norm_eps);
                Some((kind, embeddings, Arc::new(Columns::of(kind, network.max_tokens()))))
            }
            _ => None,
        };
        let layer = |n: usize| {
            let name = format!("distilbert.transformer.layer.{n}");
            let scores = match (&biases, &distances) {
                (Some(biases), _) => Scores::Biased(Arc::clone(biases)),
                (None, Some((kind, embeddings, columns))) => Scores::Disentangled(Distances::load(
                    tensors,
                    &name,
                    kind,
                    (embeddings, columns),
                    isa,
                    [dim, n_heads],
                )),
                (None, None) => Scores::Plain,
            };
            let attention = Attention { isa, dim, n_heads, scores };
            let layer = Layer::load(tensors, &name, network, attention);
            tensors.give_pages_back();
            layer
        };
        Self::PostNorm {
            layers: (0..network.n_groups.unwrap_or(network.n_layers)).map(layer).collect(),
            order: (0..network.n_layers).map(|n| network.group(n)).collect(),
            convolution: Convolution::load(tensors, network, isa),
        }
    }

    /// `space.hidden`: `[tokens, dim]` before; after it `[texts, dim]` of the first tokens, where
    /// nobody looks at the others.
    fn apply(&self, texts: &[Range<usize>], first_only: bool, space: &mut Space) {
        match self {
            Self::PostNorm { layers, order, convolution } => {
                let (last, before) =
                    order.split_last().expect("a config without layers was refused");
                let mut convolution =
                    convolution.as_ref().map(|convolution| (convolution, space.hidden.clone()));
                for n in before {
                    layers[*n].apply(texts, space);
                    if let Some((convolution, embedded)) = convolution.take() {
                        convolution.apply(&embedded, texts, &mut space.hidden);
                    }
                }
                match first_only {
                    true => layers[*last].apply_to_first(texts, space),
                    false => layers[*last].apply(texts, space),
                }
            }
            Self::PreNorm { layers, final_layer_norm } => {
                let (last, before) =
                    layers.split_last().expect("a config without layers was refused");
                before.iter().for_each(|layer| layer.apply(texts, false, space));
                last.apply(texts, first_only, space);
                final_layer_norm.rows(&mut space.hidden);
            }
        }
    }
}

/// A tensor of the network, which a checkpoint has.
pub(super) fn tensor(tensors: &Tensors, name: &str) -> Tensor {
    tensors.get(name).expect("a checkpoint has all tensors of its network")
}

/// The rows of each text in the packed matrix.
fn rows(texts: &[&Tokens]) -> Vec<Range<usize>> {
    let mut end = 0;
    let mut next = |text: &&Tokens| {
        let start = end;
        end += text.ids.len();
        start..end
    };
    texts.iter().map(&mut next).collect()
}

/// Buffers that are used again for each batch.
#[derive(Default)]
pub(super) struct Space {
    /// `[tokens, dim]`: what goes from layer to layer.
    pub(super) hidden: Vec<f32>,
    /// `[tokens, dim]`
    pub(super) context: Vec<f32>,
    /// `[tokens, dim]`
    pub(super) mixed: Vec<f32>,
    /// `[tokens, 3 · dim]`, later `[tokens, hidden_dim]`
    pub(super) wide: Vec<f32>,
    /// By how far a layer sees.
    pub(super) turns: [super::attention::Turns; 2],
}

/// Leaves only the first row of each text.
pub(super) fn keep_first(hidden: &mut Vec<f32>, texts: &[Range<usize>], dim: usize) {
    for (text, rows) in texts.iter().enumerate() {
        hidden.copy_within(rows.start * dim..(rows.start + 1) * dim, text * dim);
    }
    hidden.truncate(texts.len() * dim);
}
