//! From token ids to the first layer's input.

use checkpoint::{Network, Positions, Tensor, Tensors};
use rayon::prelude::*;

use super::kernels::{Isa, Rows};
use super::linear::{Linear, Then};
use super::model::{PIECE, tensor};
use super::norm::Norm;

/// The embeddings of words, positions and kinds.
pub(super) struct Embeddings {
    /// Its rows stay in their file until they are asked for.
    word_embeddings: Tensor,
    /// `[positions, dim]`; the embedding of the first token type is in it. One row where there is
    /// no table of positions.
    position_embeddings: Vec<f32>,
    layer_norm: Norm,
    projection: Option<Linear>,
    dim: usize,
    network: Network,
}

impl Embeddings {
    pub(super) fn load(tensors: &Tensors, network: &Network, isa: Isa) -> Self {
        let dim = network.embedding_dim;
        let embedding = |kind: &str| {
            tensor(tensors, &format!("distilbert.embeddings.{kind}_embeddings.weight"))
        };
        let mut position_embeddings = match network.positions {
            Positions::None => vec![0.0; dim],
            _ => embedding("position").floats(),
        };
        if network.type_vocab_size > 0 {
            let mut first_type = vec![0.0; dim];
            embedding("token_type").read(0, &mut first_type);
            position_embeddings
                .iter_mut()
                .zip(first_type.iter().cycle())
                .for_each(|(x, of_type)| *x += of_type);
        }
        let projection = "distilbert.embeddings.projection";
        Self {
            word_embeddings: embedding("word"),
            position_embeddings,
            layer_norm: Norm::load(
                tensors,
                "distilbert.embeddings.LayerNorm",
                network.layer_norm_eps,
            ),
            projection: network
                .has_projection()
                .then(|| Linear::load(isa, tensors, &[projection], dim, network.dim)),
            dim,
            network: network.clone(),
        }
    }

    /// `hidden` becomes `[tokens, dim]` of all texts back to back; `narrow` is used for what is
    /// before the projection.
    pub(super) fn apply(&self, texts: &[Vec<u32>], hidden: &mut Vec<f32>, narrow: &mut Vec<f32>) {
        let Some(projection) = &self.projection else { return self.embed(texts, hidden) };
        self.embed(texts, narrow);
        let input = Rows::new(narrow, narrow.len() / self.dim, self.dim, self.dim);
        projection.apply(input, hidden, projection.n_out(), Then::Nothing);
    }

    fn embed(&self, texts: &[Vec<u32>], hidden: &mut Vec<f32>) {
        let has_positions = self.network.positions != Positions::None;
        let places = |ids: &Vec<u32>| {
            let positions =
                self.network.positions(ids).map(move |place| if has_positions { place } else { 0 });
            positions.zip(ids.clone()).collect::<Vec<_>>()
        };
        let tokens: Vec<(usize, u32)> = texts.iter().flat_map(places).collect();
        hidden.resize(tokens.len() * self.dim, 0.0);
        let pieces = hidden.par_chunks_mut(PIECE * self.dim).zip(tokens.par_chunks(PIECE));
        pieces.for_each_init(Vec::new, |word: &mut Vec<f32>, (rows, tokens)| {
            word.resize(self.dim, 0.0);
            for (row, (position, id)) in rows.chunks_exact_mut(self.dim).zip(tokens) {
                row.copy_from_slice(&self.position_embeddings[position * self.dim..][..self.dim]);
                self.word_embeddings.read(*id as usize * self.dim, word);
                self.layer_norm.add_in_place(row, word);
            }
        });
    }
}
