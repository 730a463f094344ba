//! Linear layers, their weights transposed while they are loaded.

use std::ops::Range;

use gemm::Parallelism;
use rayon::prelude::*;

use super::kernels::{Target, View, multiply};
use super::weights::Weights;

/// Rows of the transposed weight that are written together; so many floats fill a cache line.
const BLOCK: usize = 16;

/// One linear layer, or several side by side that read the same input.
pub(super) struct Linear {
    /// `[n_in, n_out]`: adjacent outputs are adjacent, as the product wants them. (torch keeps `[n_out, n_in]`.)
    weight: Vec<f32>,
    bias: Vec<f32>,
    n_in: usize,
}

impl Linear {
    /// Loads `{name}.weight` and `{name}.bias` of each name. `n_out` is of each layer.
    pub(super) fn load(weights: &Weights, names: &[&str], n_in: usize, n_out: usize) -> Self {
        let tensors: Vec<_> = names.iter().map(|name| weights.tensor(&format!("{name}.weight"))).collect();
        let n_columns = n_out * names.len();
        let mut weight = vec![0.0; n_in * n_columns];
        weight.par_chunks_mut(BLOCK * n_columns).enumerate().for_each(|(block, rows)| {
            let mut line = [0.0; BLOCK];
            let line = &mut line[..rows.len() / n_columns];
            for column in 0..n_columns {
                tensors[column / n_out].read(column % n_out * n_in + block * BLOCK, line);
                for (row, value) in line.iter().enumerate() {
                    rows[row * n_columns + column] = *value;
                }
            }
        });
        let bias = names.iter().flat_map(|name| weights.tensor(&format!("{name}.bias")).floats()).collect();
        Self { weight, bias, n_in }
    }

    /// Applies the layer.
    /// `input`: `[any, n_in]`; `output` becomes `[any, n_out]`.
    pub(super) fn apply(&self, input: &[f32], output: &mut Vec<f32>) {
        self.apply_columns(0..self.bias.len(), input, output);
    }

    /// Applies only some of the outputs.
    /// `input`: `[any, n_in]`; `output` becomes `[any, columns]`.
    pub(super) fn apply_columns(&self, columns: Range<usize>, input: &[f32], output: &mut Vec<f32>) {
        let (n_rows, n_columns, n_out) = (input.len() / self.n_in, columns.len(), self.bias.len());
        output.clear();
        (0..n_rows).for_each(|_| output.extend_from_slice(&self.bias[columns.clone()]));
        let weight = View::rows(&self.weight[columns.start..], self.n_in, n_columns, n_out);
        let target = Target { data: output, row_stride: n_columns, add: true };
        multiply(View::rows(input, n_rows, self.n_in, self.n_in), weight, 1.0, target, parallelism());
    }
}

/// All threads of the pool that this runs in.
fn parallelism() -> Parallelism {
    match rayon::current_num_threads() {
        1 => Parallelism::None,
        n_threads => Parallelism::Rayon(n_threads),
    }
}
