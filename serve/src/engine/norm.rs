//! LayerNorm.

use checkpoint::Tensors;
use rayon::prelude::*;

use super::kernels::{add_and_norm, norm};
use super::model::{PIECE, tensor};

/// A `LayerNorm`.
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    /// Loads `{name}.weight`, and `{name}.bias` where there is one.
    pub(super) fn load(tensors: &Tensors, name: &str, epsilon: f64) -> Self {
        let weight = tensor(tensors, &format!("{name}.weight")).floats();
        let bias = tensors.get(&format!("{name}.bias")).map(|bias| bias.floats());
        let bias = bias.unwrap_or_else(|| vec![0.0; weight.len()]);
        Self { weight, bias, epsilon: epsilon as f32 }
    }

    /// `hidden` becomes the norm of `hidden + residual`; both `[any, dim]`.
    pub(super) fn add(&self, hidden: &mut [f32], residual: &[f32]) {
        let piece = PIECE * self.weight.len();
        let pieces = hidden.par_chunks_mut(piece).zip(residual.par_chunks(piece));
        pieces.for_each(|(hidden, residual)| self.add_in_place(hidden, residual));
    }

    /// The same in one thread.
    pub(super) fn add_in_place(&self, hidden: &mut [f32], residual: &[f32]) {
        add_and_norm(hidden, residual, &self.weight, &self.bias, self.epsilon);
    }

    /// `rows` become their norms; `[any, dim]`.
    pub(super) fn rows(&self, rows: &mut [f32]) {
        let pieces = rows.par_chunks_mut(PIECE * self.weight.len());
        pieces.for_each(|rows| norm(rows, &self.weight, &self.bias, self.epsilon));
    }
}
