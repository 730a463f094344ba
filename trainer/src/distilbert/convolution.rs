//! A convolution of the embeddings, which is added to the first layer's output: DeBERTa's.

use burn::nn::LayerNorm;
use burn::nn::conv::Conv1d;
use burn::tensor::{Int, Tensor, TensorData};
use checkpoint::{Convolution, Network};

use super::parts::{gated, normed};
use super::{Batch, Dropout, fused};

/// `ConvLayer` in `modeling_deberta_v2.py`. `embedded`, `hidden`: `[batch * seq, dim]`. Returns the
/// same shape.
pub(super) fn convolve(
    (conv, norm, kind): (&Conv1d, &LayerNorm, Convolution),
    [embedded, hidden]: [Tensor<2>; 2],
    batch: &Batch,
    network: &Network,
    dropout: &mut Dropout,
) -> Tensor<2> {
    let [n_rows, dim] = embedded.dims();
    let device = embedded.device();
    // What is beyond a text is a row of zeros behind all others.
    let rows = Tensor::cat(vec![embedded, Tensor::zeros([1, dim], &device)], 0);
    let neighbours = neighbours(batch, kind.kernel, n_rows);
    let neighbours = TensorData::new(neighbours, [n_rows * kind.kernel]);
    let neighbours = Tensor::<1, Int>::from_data(neighbours, &device);
    let input = rows.select(0, neighbours).reshape([n_rows, kind.kernel * dim]);
    let weight = conv.weight.val().permute([2, 1, 0]).reshape([kind.kernel * dim, dim]);
    let bias = conv.bias.as_ref().map(|bias| bias.val());
    let output = if batch.packed.is_some() {
        fused::affine(input, weight, bias)
    } else {
        let output = input.matmul(weight);
        bias.map_or(output.clone(), |bias| output + bias.unsqueeze::<2>())
    };
    let output = dropout.apply(output, network.dropout.embedded);
    // A gate that is open everywhere.
    let open = Tensor::ones([n_rows, dim], &device);
    let output = gated(Tensor::cat(vec![output, open], 1), kind.activation, batch);
    normed(norm, hidden + output, network.layer_norm_eps, batch)
}

/// The rows that each token sees, one after the other.
fn neighbours(batch: &Batch, kernel: usize, n_rows: usize) -> Vec<i64> {
    let mut found = vec![n_rows as i64; n_rows * kernel];
    for (first, length) in batch.texts() {
        for place in 0..length {
            for offset in 0..kernel {
                let at = (place + offset).checked_sub(kernel / 2).filter(|at| *at < length);
                if let Some(at) = at {
                    found[(first + place) * kernel + offset] = (first + at) as i64;
                }
            }
        }
    }
    found
}
