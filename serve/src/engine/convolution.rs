//! A convolution of the embeddings, which is added to the first layer's output: DeBERTa's.

use std::ops::Range;

use checkpoint::{Activation, Network, Tensors};
use rayon::prelude::*;

use super::kernels::{Isa, Rows};
use super::linear::{Linear, Then};
use super::norm::Norm;

/// `ConvLayer` in `modeling_deberta_v2.py`.
pub(super) struct Convolution {
    /// Of a token's neighbourhood: number by number, and of each one by one of the tokens, as the
    /// checkpoint's tensor has them.
    conv: Linear,
    activation: Activation,
    norm: Norm,
    kernel: usize,
    dim: usize,
}

impl Convolution {
    /// That of a network, where it has one.
    pub(super) fn load(tensors: &Tensors, network: &Network, isa: Isa) -> Option<Self> {
        let (dim, convolution) = (network.dim, network.convolution?);
        let name = "distilbert.transformer.conv";
        Some(Self {
            conv: Linear::load(isa, tensors, &[name], dim * convolution.kernel, dim),
            activation: convolution.activation,
            norm: Norm::load(tensors, "distilbert.transformer.conv_norm", network.layer_norm_eps),
            kernel: convolution.kernel,
            dim,
        })
    }

    /// `embedded` and `hidden`: `[tokens, dim]`; `texts`: the rows of each. Beyond a text there are
    /// zeros.
    pub(super) fn apply(&self, embedded: &[f32], texts: &[Range<usize>], hidden: &mut [f32]) {
        let (dim, kernel, width) = (self.dim, self.kernel, self.dim * self.kernel);
        let n_tokens = embedded.len() / dim;
        let mut neighbours = vec![0.0; n_tokens * width];
        let texts = texts.iter().flat_map(|text| text.clone().map(move |token| (token, text)));
        let texts: Vec<(usize, &Range<usize>)> = texts.collect();
        neighbours.par_chunks_exact_mut(width).zip(texts).for_each(|(row, (token, text))| {
            for offset in 0..kernel {
                let Some(at) = (token + offset).checked_sub(kernel / 2) else { continue };
                if text.contains(&at) {
                    let to = row[offset..].iter_mut().step_by(kernel);
                    to.zip(&embedded[at * dim..]).for_each(|(to, x)| *to = *x);
                }
            }
        });
        let input = Rows::new(&neighbours, n_tokens, width, width);
        let mut output = Vec::new();
        self.conv.apply(input, &mut output, dim, Then::Apply(self.activation));
        self.norm.add(hidden, &output);
    }
}
