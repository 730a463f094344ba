//! A layer with its LayerNorms behind attention and feed-forward network.

use std::ops::Range;

use checkpoint::{Activation, Network, Tensors};

use super::attention::Attention;
use super::kernels::{LINE, Rows};
use super::linear::{Linear, Then};
use super::model::{Space, keep_first};
use super::norm::Norm;

/// DistilBERT's `TransformerBlock`.
pub(super) struct Layer {
    /// q_lin, k_lin and v_lin side by side.
    qkv: Linear,
    attention: Attention,
    out_lin: Linear,
    sa_layer_norm: Norm,
    lin1: Linear,
    activation: Activation,
    lin2: Linear,
    output_layer_norm: Norm,
}

impl Layer {
    pub(super) fn load(
        tensors: &Tensors,
        layer: &str,
        network: &Network,
        attention: Attention,
    ) -> Self {
        let &Network { dim, hidden_dim, activation, layer_norm_eps, .. } = network;
        let isa = attention.isa;
        let name = |part: &str| format!("{layer}.{part}");
        let [q, k, v] = ["q", "k", "v"].map(|part| name(&format!("attention.{part}_lin")));
        let linear = |part: &str, n_in: usize, n_out: usize| {
            Linear::load(isa, tensors, &[&name(part)], n_in, n_out)
        };
        Self {
            qkv: Linear::load(isa, tensors, &[&q, &k, &v], dim, dim),
            attention,
            out_lin: linear("attention.out_lin", dim, dim),
            sa_layer_norm: Norm::load(tensors, &name("sa_layer_norm"), layer_norm_eps),
            lin1: linear("ffn.lin1", dim, hidden_dim),
            activation,
            lin2: linear("ffn.lin2", hidden_dim, dim),
            output_layer_norm: Norm::load(tensors, &name("output_layer_norm"), layer_norm_eps),
        }
    }

    /// Computes every token.
    /// `texts`: the rows of each; `space.hidden`: `[tokens, dim]`, before and after.
    pub(super) fn apply(&self, texts: &[Range<usize>], space: &mut Space) {
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
    pub(super) fn apply_to_first(&self, texts: &[Range<usize>], space: &mut Space) {
        let dim = self.attention.dim;
        let Space { hidden, context, mixed, wide, .. } = &mut *space;
        self.qkv.apply_layers(1..3, Rows::new(hidden, hidden.len() / dim, dim, dim), wide);
        keep_first(hidden, texts, dim);
        self.qkv.apply_layers(0..1, Rows::new(hidden, texts.len(), dim, dim), mixed);
        self.attention.apply_to_first(mixed, wide, texts, context);
        self.finish(texts.len(), space);
    }

    /// From the context to the layer's output.
    fn finish(&self, n_rows: usize, space: &mut Space) {
        let Space { hidden, context, mixed, wide, .. } = space;
        let dim = self.attention.dim;
        self.out_lin.apply(Rows::new(context, n_rows, dim, dim), mixed, dim, Then::Nothing);
        self.sa_layer_norm.add(hidden, mixed);
        let (hidden_dim, stride) = (self.lin2.n_in(), uneven(self.lin2.n_in()));
        let active = Then::Apply(self.activation);
        self.lin1.apply(Rows::new(hidden, n_rows, dim, dim), wide, stride, active);
        self.lin2.apply(Rows::new(wide, n_rows, hidden_dim, stride), mixed, dim, Then::Nothing);
        self.output_layer_norm.add(hidden, mixed);
    }
}

/// A stride for rows of so many elements under which adjacent rows do not begin in the same places
/// of the cache, as they would do at a multiple of the page size.
pub(super) fn uneven(n_columns: usize) -> usize {
    if n_columns.is_multiple_of(1024) { n_columns + LINE } else { n_columns }
}
