//! DistilBERT and BERT with a classification head. Fields are named after DistilBERT's tensors;
//! BERT's are the same ones under other names.

use std::ops::Range;

use checkpoint::{Activation, Config, Network, Pooling, Tensor, Tensors};
use rayon::prelude::*;

use super::attention::Attention;
use super::kernels::{Isa, LINE, Rows, add_and_norm};
use super::linear::{Linear, Then, relu};

/// Rows that one thread takes at a time in elementwise loops.
const PIECE: usize = 16;

/// A classifier, ready to compute.
pub(super) struct Model {
    word_embeddings: Tensor,
    /// `[max_position_embeddings, dim]`; BERT's embedding of the first token type is in it.
    position_embeddings: Vec<f32>,
    layer_norm: Norm,
    layers: Vec<Layer>,
    /// BERT calls it its pooler.
    pre_classifier: Linear,
    pooling: fn(f32) -> f32,
    classifier: Linear,
    dim: usize,
}

impl Model {
    /// Loads all but the word embeddings, whose rows stay in their file until they are asked for.
    /// Mapped pages are given back layer by layer, so that weights are never in memory twice.
    pub(super) fn load(tensors: &Tensors, config: &Config, isa: Isa) -> Self {
        let &Network { dim, n_layers, type_vocab_size, pooling, .. } = &config.network;
        let embedding = |kind: &str| {
            tensor(tensors, &format!("distilbert.embeddings.{kind}_embeddings.weight"))
        };
        let mut position_embeddings = embedding("position").floats();
        if type_vocab_size > 0 {
            let mut first_type = vec![0.0; dim];
            embedding("token_type").read(0, &mut first_type);
            position_embeddings
                .iter_mut()
                .zip(first_type.iter().cycle())
                .for_each(|(x, of_type)| *x += of_type);
        }
        let layer = |n: usize| {
            let name = format!("distilbert.transformer.layer.{n}");
            let layer = Layer::load(tensors, &name, &config.network, isa);
            tensors.give_pages_back();
            layer
        };
        let norm = "distilbert.embeddings.LayerNorm";
        Self {
            word_embeddings: embedding("word"),
            position_embeddings,
            layer_norm: Norm::load(tensors, norm, &config.network),
            layers: (0..n_layers).map(layer).collect(),
            pre_classifier: Linear::load(isa, tensors, &["pre_classifier"], dim, dim),
            pooling: match pooling {
                Pooling::Relu => relu,
                Pooling::Tanh => f32::tanh,
            },
            classifier: Linear::load(isa, tensors, &["classifier"], dim, config.labels.len()),
            dim,
        }
    }

    /// Computes one row of logits per text.
    /// The texts are packed back to back: all their tokens are the rows of one matrix, and no row
    /// is padding.
    pub(super) fn logits(&self, texts: &[Vec<u32>], space: &mut Space) -> Vec<f32> {
        let (rows, dim) = (rows(texts), self.dim);
        self.embed(texts, &mut space.hidden);
        let (last, before) = self.layers.split_last().expect("a config without layers was refused");
        before.iter().for_each(|layer| layer.apply(&rows, space));
        last.apply_to_first(&rows, space);
        let Space { hidden, mixed, wide, .. } = space;
        self.pre_classifier.apply(
            Rows::new(hidden, texts.len(), dim, dim),
            mixed,
            dim,
            Then::Nothing,
        );
        mixed.iter_mut().for_each(|x| *x = (self.pooling)(*x));
        let n_labels = self.classifier.n_out();
        self.classifier.apply(
            Rows::new(mixed, texts.len(), dim, dim),
            wide,
            n_labels,
            Then::Nothing,
        );
        wide.clone()
    }

    fn embed(&self, texts: &[Vec<u32>], hidden: &mut Vec<f32>) {
        let tokens: Vec<(usize, u32)> =
            texts.iter().flat_map(|ids| ids.iter().copied().enumerate()).collect();
        hidden.resize(tokens.len() * self.dim, 0.0);
        let pieces = hidden.par_chunks_mut(PIECE * self.dim).zip(tokens.par_chunks(PIECE));
        pieces.for_each_init(Vec::new, |word: &mut Vec<f32>, (rows, tokens)| {
            word.resize(self.dim, 0.0);
            for (row, (position, id)) in rows.chunks_exact_mut(self.dim).zip(tokens) {
                row.copy_from_slice(&self.position_embeddings[position * self.dim..][..self.dim]);
                self.word_embeddings.read(*id as usize * self.dim, word);
                self.layer_norm.row(row, word);
            }
        });
    }
}

/// A tensor of the network, which a checkpoint has.
pub(super) fn tensor(tensors: &Tensors, name: &str) -> Tensor {
    tensors.get(name).expect("a checkpoint has all tensors of its network")
}

/// The rows of each text in the packed matrix.
fn rows(texts: &[Vec<u32>]) -> Vec<Range<usize>> {
    let mut end = 0;
    let mut next = |ids: &Vec<u32>| {
        let start = end;
        end += ids.len();
        start..end
    };
    texts.iter().map(&mut next).collect()
}

/// Buffers that are used again for each batch.
#[derive(Default)]
pub(super) struct Space {
    /// `[tokens, dim]`: what goes from layer to layer.
    hidden: Vec<f32>,
    /// `[tokens, dim]`
    context: Vec<f32>,
    /// `[tokens, dim]`
    mixed: Vec<f32>,
    /// `[tokens, 3 · dim]`, later `[tokens, hidden_dim]`
    wide: Vec<f32>,
}

struct Layer {
    /// q_lin, k_lin and v_lin side by side.
    qkv: Linear,
    attention: Attention,
    out_lin: Linear,
    sa_layer_norm: Norm,
    lin1: Linear,
    activation: Then,
    lin2: Linear,
    output_layer_norm: Norm,
}

impl Layer {
    fn load(tensors: &Tensors, layer: &str, network: &Network, isa: Isa) -> Self {
        let &Network { dim, hidden_dim, n_heads, activation, .. } = network;
        let name = |part: &str| format!("{layer}.{part}");
        let [q, k, v] = ["q", "k", "v"].map(|part| name(&format!("attention.{part}_lin")));
        let linear = |part: &str, n_in: usize, n_out: usize| {
            Linear::load(isa, tensors, &[&name(part)], n_in, n_out)
        };
        Self {
            qkv: Linear::load(isa, tensors, &[&q, &k, &v], dim, dim),
            attention: Attention { isa, dim, n_heads },
            out_lin: linear("attention.out_lin", dim, dim),
            sa_layer_norm: Norm::load(tensors, &name("sa_layer_norm"), network),
            lin1: linear("ffn.lin1", dim, hidden_dim),
            activation: match activation {
                Activation::Gelu => Then::Gelu,
                Activation::Relu => Then::Relu,
            },
            lin2: linear("ffn.lin2", hidden_dim, dim),
            output_layer_norm: Norm::load(tensors, &name("output_layer_norm"), network),
        }
    }

    /// Computes every token.
    /// `texts`: the rows of each; `space.hidden`: `[tokens, dim]`, before and after.
    fn apply(&self, texts: &[Range<usize>], space: &mut Space) {
        let dim = self.attention.dim;
        let n_tokens = space.hidden.len() / dim;
        self.qkv.apply(
            Rows::new(&space.hidden, n_tokens, dim, dim),
            &mut space.wide,
            3 * dim,
            Then::Nothing,
        );
        self.attention.apply(&space.wide, texts, &mut space.context);
        self.finish(n_tokens, space);
    }

    /// Computes the first token of each text only, for which all others are still keys and values.
    /// The classifier looks at nothing else. `space.hidden`: `[tokens, dim]` before, `[texts, dim]`
    /// after.
    fn apply_to_first(&self, texts: &[Range<usize>], space: &mut Space) {
        let dim = self.attention.dim;
        let Space { hidden, context, mixed, wide } = &mut *space;
        self.qkv.apply_layers(1..3, Rows::new(hidden, hidden.len() / dim, dim, dim), wide);
        for (text, rows) in texts.iter().enumerate() {
            hidden.copy_within(rows.start * dim..(rows.start + 1) * dim, text * dim);
        }
        hidden.truncate(texts.len() * dim);
        self.qkv.apply_layers(0..1, Rows::new(hidden, texts.len(), dim, dim), mixed);
        self.attention.apply_to_first(mixed, wide, texts, context);
        self.finish(texts.len(), space);
    }

    /// From the context to the layer's output.
    fn finish(&self, n_rows: usize, space: &mut Space) {
        let Space { hidden, context, mixed, wide } = space;
        let dim = self.attention.dim;
        self.out_lin.apply(Rows::new(context, n_rows, dim, dim), mixed, dim, Then::Nothing);
        self.sa_layer_norm.apply(hidden, mixed);
        let (hidden_dim, stride) = (self.lin2.n_in(), uneven(self.lin2.n_in()));
        self.lin1.apply(Rows::new(hidden, n_rows, dim, dim), wide, stride, self.activation);
        self.lin2.apply(Rows::new(wide, n_rows, hidden_dim, stride), mixed, dim, Then::Nothing);
        self.output_layer_norm.apply(hidden, mixed);
    }
}

/// A stride for rows of so many elements under which adjacent rows do not begin in the same places
/// of the cache, as they would do at a multiple of the page size.
fn uneven(n_columns: usize) -> usize {
    if n_columns.is_multiple_of(1024) { n_columns + LINE } else { n_columns }
}

/// A `LayerNorm`.
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    fn load(tensors: &Tensors, name: &str, network: &Network) -> Self {
        let [weight, bias] =
            ["weight", "bias"].map(|part| tensor(tensors, &format!("{name}.{part}")).floats());
        Self { weight, bias, epsilon: network.layer_norm_eps as f32 }
    }

    /// `hidden` becomes the norm of `hidden + residual`; both `[any, dim]`.
    fn apply(&self, hidden: &mut [f32], residual: &[f32]) {
        let piece = PIECE * self.weight.len();
        let pieces = hidden.par_chunks_mut(piece).zip(residual.par_chunks(piece));
        pieces.for_each(|(hidden, residual)| self.row(hidden, residual));
    }

    /// The same in one thread.
    fn row(&self, hidden: &mut [f32], residual: &[f32]) {
        add_and_norm(hidden, residual, &self.weight, &self.bias, self.epsilon);
    }
}
