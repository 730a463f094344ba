//! From the last layer's output to logits.

use std::ops::Range;

use checkpoint::{Activation, Network, Pooling, Tensors};

use super::kernels::{Isa, Rows};
use super::linear::{Linear, Then};
use super::norm::Norm;

/// One row a text, a dense layer, the classifier.
pub(super) struct Head {
    pub(super) pooling: Pooling,
    /// BERT calls it its pooler.
    pre_classifier: Linear,
    activation: Activation,
    layer_norm: Option<Norm>,
    classifier: Linear,
    dim: usize,
}

impl Head {
    pub(super) fn load(tensors: &Tensors, network: &Network, n_labels: usize, isa: Isa) -> Self {
        let &Network { dim, layer_norm_eps, head, .. } = network;
        Self {
            pooling: head.pooling,
            pre_classifier: Linear::load(isa, tensors, &["pre_classifier"], dim, dim),
            activation: head.activation,
            layer_norm: head
                .is_normed
                .then(|| Norm::load(tensors, "head_layer_norm", layer_norm_eps)),
            classifier: Linear::load(isa, tensors, &["classifier"], dim, n_labels),
            dim,
        }
    }

    /// `hidden`: `[tokens, dim]`, or `[texts, dim]` where only the first token of each was
    /// computed.
    pub(super) fn apply(
        &self,
        texts: &[Range<usize>],
        hidden: &mut [f32],
        [mixed, wide]: [&mut Vec<f32>; 2],
    ) -> Vec<f32> {
        let dim = self.dim;
        if self.pooling == Pooling::Mean {
            average(texts, hidden, dim);
        }
        self.pre_classifier.apply(
            Rows::new(hidden, texts.len(), dim, dim),
            mixed,
            dim,
            Then::Apply(self.activation),
        );
        if let Some(layer_norm) = &self.layer_norm {
            layer_norm.rows(mixed);
        }
        let n_labels = self.classifier.n_out();
        self.classifier.apply(
            Rows::new(mixed, texts.len(), dim, dim),
            wide,
            n_labels,
            Then::Nothing,
        );
        wide.clone()
    }
}

/// The first rows become the means of each text's.
fn average(texts: &[Range<usize>], hidden: &mut [f32], dim: usize) {
    for (text, rows) in texts.iter().enumerate() {
        let mut sum = vec![0.0; dim];
        for row in hidden[rows.start * dim..rows.end * dim].chunks_exact(dim) {
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        // No text is before its rows: each has one at least.
        let mean = sum.iter().map(|sum| sum / rows.len() as f32);
        hidden[text * dim..(text + 1) * dim].iter_mut().zip(mean).for_each(|(x, mean)| *x = mean);
    }
}
