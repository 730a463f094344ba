//! From token ids to the first layer's input.

use checkpoint::{Network, Positions, Tensor, Tensors};
use rayon::prelude::*;

use super::kernels::{Isa, Rows};
use super::linear::{Linear, Then};
use super::model::{PIECE, tensor};
use super::norm::Norm;
use super::tokens::Tokens;

/// The embeddings of words, positions and kinds.
pub(super) struct Embeddings {
    /// Its rows stay in their file until they are asked for.
    word_embeddings: Tensor,
    /// `[positions, dim]`; the embedding of the first token type is in it. One row where there is
    /// no table of positions.
    position_embeddings: Vec<f32>,
    /// What the embeddings of further token types have more than that of the first: `[types, dim]`.
    further_types: Vec<f32>,
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
        let mut further_types = Vec::new();
        if network.type_vocab_size > 0 {
            let mut first_type = embedding("token_type").floats();
            further_types = first_type.split_off(dim);
            further_types
                .iter_mut()
                .zip(first_type.iter().cycle())
                .for_each(|(x, of_first)| *x -= of_first);
            position_embeddings
                .iter_mut()
                .zip(first_type.iter().cycle())
                .for_each(|(x, of_type)| *x += of_type);
        }
        let projection = "distilbert.embeddings.projection";
        Self {
            word_embeddings: embedding("word"),
            position_embeddings,
            further_types,
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
    pub(super) fn apply(&self, texts: &[&Tokens], hidden: &mut Vec<f32>, narrow: &mut Vec<f32>) {
        let Some(projection) = &self.projection else { return self.embed(texts, hidden) };
        self.embed(texts, narrow);
        let input = Rows::new(narrow, narrow.len() / self.dim, self.dim, self.dim);
        projection.apply(input, hidden, projection.n_out(), Then::Nothing);
    }

    fn embed(&self, texts: &[&Tokens], hidden: &mut Vec<f32>) {
        let has_positions = self.network.positions != Positions::None;
        let places = |text: &&Tokens| {
            let positions = self.network.positions(&text.ids);
            let kinds = text.kinds.iter().copied().chain(std::iter::repeat(0));
            let places = positions.zip(&text.ids).zip(kinds);
            let place = |((at, id), kind): ((usize, &u32), u32)| {
                (if has_positions { at } else { 0 }, *id, kind as usize)
            };
            places.map(place).collect::<Vec<_>>()
        };
        let tokens: Vec<(usize, u32, usize)> = texts.iter().flat_map(places).collect();
        hidden.resize(tokens.len() * self.dim, 0.0);
        let pieces = hidden.par_chunks_mut(PIECE * self.dim).zip(tokens.par_chunks(PIECE));
        pieces.for_each_init(Vec::new, |word: &mut Vec<f32>, (rows, tokens)| {
            word.resize(self.dim, 0.0);
            for (row, (position, id, kind)) in rows.chunks_exact_mut(self.dim).zip(tokens) {
                row.copy_from_slice(&self.position_embeddings[position * self.dim..][..self.dim]);
                if let Some(further) = kind.checked_sub(1) {
                    let of_kind = &self.further_types[further * self.dim..][..self.dim];
                    row.iter_mut().zip(of_kind).for_each(|(x, of_kind)| *x += of_kind);
                }
                self.word_embeddings.read(*id as usize * self.dim, word);
                self.layer_norm.add_in_place(row, word);
            }
        });
    }
}
