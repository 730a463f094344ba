//! DistilBERT with a classification head. Fields are named after the checkpoint's tensors.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::attention::Attention;
use super::config::Config;
use super::kernels::{add_and_norm, gelu};
use super::linear::Linear;
use super::weights::{Tensor, Weights};

/// Elements that one thread takes at a time in elementwise loops.
const PIECE: usize = 16 * 1024;

/// The names and shapes of all tensors of such a model.
pub(super) fn tensors(config: &Config, n_labels: usize) -> BTreeMap<String, Vec<usize>> {
    let Config { dim, hidden_dim, .. } = *config;
    let mut tensors = BTreeMap::new();
    let mut matrix = |name: &str, n_rows: usize, n_columns: usize| {
        drop(tensors.insert(format!("{name}.weight"), vec![n_rows, n_columns]))
    };
    matrix("distilbert.embeddings.word_embeddings", config.vocab_size, dim);
    matrix("distilbert.embeddings.position_embeddings", config.max_position_embeddings, dim);
    let mut linears = vec![("pre_classifier".to_owned(), dim, dim), ("classifier".to_owned(), n_labels, dim)];
    let mut norms = vec!["distilbert.embeddings.LayerNorm".to_owned()];
    for layer in layers(config) {
        linears
            .extend(["q_lin", "k_lin", "v_lin", "out_lin"].map(|name| (format!("{layer}.attention.{name}"), dim, dim)));
        linears
            .extend([(format!("{layer}.ffn.lin1"), hidden_dim, dim), (format!("{layer}.ffn.lin2"), dim, hidden_dim)]);
        norms.extend(["sa_layer_norm", "output_layer_norm"].map(|name| format!("{layer}.{name}")));
    }
    linears.iter().for_each(|(name, n_out, n_in)| matrix(name, *n_out, *n_in));
    tensors.extend(linears.into_iter().map(|(name, n_out, _)| (format!("{name}.bias"), vec![n_out])));
    tensors.extend(
        norms.into_iter().flat_map(|name| ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![dim]))),
    );
    tensors
}

fn layers(config: &Config) -> impl Iterator<Item = String> {
    (0..config.n_layers).map(|n| format!("distilbert.transformer.layer.{n}"))
}

/// A DistilBERT classifier, ready to compute.
pub(super) struct DistilBert {
    word_embeddings: Tensor,
    /// `[max_position_embeddings, dim]`
    position_embeddings: Vec<f32>,
    layer_norm: Norm,
    layers: Vec<Layer>,
    pre_classifier: Linear,
    classifier: Linear,
    dim: usize,
}

impl DistilBert {
    /// Loads all but the word embeddings, whose rows stay in their file until they are asked for.
    pub(super) fn load(weights: &Weights, config: &Config, n_labels: usize) -> Self {
        Self {
            word_embeddings: weights.tensor("distilbert.embeddings.word_embeddings.weight"),
            position_embeddings: weights.tensor("distilbert.embeddings.position_embeddings.weight").floats(),
            layer_norm: Norm::load(weights, "distilbert.embeddings.LayerNorm"),
            layers: layers(config).map(|name| Layer::load(weights, &name, config)).collect(),
            pre_classifier: Linear::load(weights, &["pre_classifier"], config.dim, config.dim),
            classifier: Linear::load(weights, &["classifier"], config.dim, n_labels),
            dim: config.dim,
        }
    }

    /// Reads the word embeddings from another map of the same file from now on.
    pub(super) fn read_words_from(&mut self, weights: &Weights) {
        self.word_embeddings = weights.tensor("distilbert.embeddings.word_embeddings.weight");
    }

    /// Computes one row of logits per text.
    /// The texts are packed back to back: all their tokens are the rows of one matrix, and no row is padding.
    pub(super) fn logits(&self, texts: &[Vec<u32>], space: &mut Space) -> Vec<f32> {
        let rows = rows(texts);
        self.embed(texts, &mut space.hidden);
        let (last, before) = self.layers.split_last().expect("a config without layers was refused");
        before.iter().for_each(|layer| layer.apply(&rows, space));
        last.apply_to_first(&rows, space);
        self.pre_classifier.apply(&space.hidden, &mut space.context);
        space.context.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x });
        self.classifier.apply(&space.context, &mut space.wide);
        space.wide.clone()
    }

    fn embed(&self, texts: &[Vec<u32>], hidden: &mut Vec<f32>) {
        hidden.clear();
        for ids in texts {
            hidden.extend_from_slice(&self.position_embeddings[..ids.len() * self.dim]);
        }
        let mut word = vec![0.0; self.dim];
        for (row, id) in hidden.chunks_exact_mut(self.dim).zip(texts.iter().flatten()) {
            self.word_embeddings.read(*id as usize * self.dim, &mut word);
            add_and_norm(row, &word, &self.layer_norm.weight, &self.layer_norm.bias);
        }
    }
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
    out_lin: Linear,
    sa_layer_norm: Norm,
    lin1: Linear,
    lin2: Linear,
    output_layer_norm: Norm,
    dim: usize,
    n_heads: usize,
}

impl Layer {
    fn load(weights: &Weights, name: &str, config: &Config) -> Self {
        let Config { dim, hidden_dim, n_heads, .. } = *config;
        let [q, k, v, out] = ["q_lin", "k_lin", "v_lin", "out_lin"].map(|part| format!("{name}.attention.{part}"));
        Self {
            qkv: Linear::load(weights, &[&q, &k, &v], dim, dim),
            out_lin: Linear::load(weights, &[&out], dim, dim),
            sa_layer_norm: Norm::load(weights, &format!("{name}.sa_layer_norm")),
            lin1: Linear::load(weights, &[&format!("{name}.ffn.lin1")], dim, hidden_dim),
            lin2: Linear::load(weights, &[&format!("{name}.ffn.lin2")], hidden_dim, dim),
            output_layer_norm: Norm::load(weights, &format!("{name}.output_layer_norm")),
            dim,
            n_heads,
        }
    }

    /// Computes every token.
    /// `rows`: of each text; `space.hidden`: `[tokens, dim]`, before and after.
    fn apply(&self, rows: &[Range<usize>], space: &mut Space) {
        self.qkv.apply(&space.hidden, &mut space.wide);
        let attention = self.attention(&space.wide, 3 * self.dim, &space.wide[self.dim..], 3 * self.dim);
        attention.apply(rows.iter().map(|rows| (rows.clone(), rows.clone())), &mut space.context);
        self.finish(space);
    }

    /// Computes the first token of each text only, for which all others are still keys and values. The classifier looks at nothing else.
    /// `space.hidden`: `[tokens, dim]` before, `[texts, dim]` after.
    fn apply_to_first(&self, rows: &[Range<usize>], space: &mut Space) {
        self.qkv.apply_columns(self.dim..3 * self.dim, &space.hidden, &mut space.wide);
        for (text, rows) in rows.iter().enumerate() {
            space.hidden.copy_within(rows.start * self.dim..(rows.start + 1) * self.dim, text * self.dim);
        }
        space.hidden.truncate(rows.len() * self.dim);
        self.qkv.apply_columns(0..self.dim, &space.hidden, &mut space.mixed);
        let attention = self.attention(&space.mixed, self.dim, &space.wide, 2 * self.dim);
        attention.apply(rows.iter().enumerate().map(|(text, rows)| (text..text + 1, rows.clone())), &mut space.context);
        self.finish(space);
    }

    fn attention<'a>(
        &self,
        queries: &'a [f32],
        query_stride: usize,
        keys_and_values: &'a [f32],
        key_stride: usize,
    ) -> Attention<'a> {
        Attention { queries, query_stride, keys_and_values, key_stride, dim: self.dim, n_heads: self.n_heads }
    }

    /// From the context to the layer's output.
    fn finish(&self, space: &mut Space) {
        let Space { hidden, context, mixed, wide } = space;
        self.out_lin.apply(context, mixed);
        self.sa_layer_norm.add_and_norm(hidden, mixed);
        self.lin1.apply(hidden, wide);
        wide.par_chunks_mut(PIECE).for_each(gelu);
        self.lin2.apply(wide, mixed);
        self.output_layer_norm.add_and_norm(hidden, mixed);
    }
}

/// A `LayerNorm`.
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn load(weights: &Weights, name: &str) -> Self {
        let [weight, bias] = ["weight", "bias"].map(|part| weights.tensor(&format!("{name}.{part}")).floats());
        Self { weight, bias }
    }

    /// `hidden` becomes the norm of `hidden + residual`; both `[any, dim]`.
    fn add_and_norm(&self, hidden: &mut [f32], residual: &[f32]) {
        let dim = self.weight.len();
        let piece = PIECE.div_ceil(dim) * dim;
        let pieces = hidden.par_chunks_mut(piece).zip(residual.par_chunks(piece));
        pieces.for_each(|(hidden, residual)| add_and_norm(hidden, residual, &self.weight, &self.bias));
    }
}
