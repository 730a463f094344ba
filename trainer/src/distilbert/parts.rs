//! The parts that layers are made of, as operations of their own on flex and in burn's elsewhere.

use std::f64::consts::{FRAC_2_PI, SQRT_2};

use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid, tanh};
use burn::tensor::{Device, Tensor};
use checkpoint::Activation;

use super::{Batch, fused};

/// A linear layer, and what follows it. `input`: `[n, inputs]`. Returns `[n, outputs]`.
pub(super) fn dense(
    layer: &Linear,
    input: Tensor<2>,
    activation: Option<Activation>,
    batch: &Batch,
) -> Tensor<2> {
    if batch.packed.is_some() {
        return fused::dense(layer, input, activation);
    }
    let output = layer.forward(input);
    match activation {
        Some(activation) => active(output, activation),
        None => output,
    }
}

/// A LayerNorm of each row.
pub(super) fn normed(norm: &LayerNorm, input: Tensor<2>, epsilon: f64, batch: &Batch) -> Tensor<2> {
    if batch.packed.is_some() {
        return fused::layer_norm(norm, input, epsilon);
    }
    norm.forward(input)
}

/// The left half of each row after its activation, times the right half.
/// `wide`: `[n, 2 * hidden]`. Returns `[n, hidden]`.
pub(super) fn gated(wide: Tensor<2>, activation: Activation, batch: &Batch) -> Tensor<2> {
    if batch.packed.is_some() {
        return fused::gated(wide, activation);
    }
    let hidden = wide.dims()[1] / 2;
    active(wide.clone().narrow(1, 0, hidden), activation) * wide.narrow(1, hidden, hidden)
}

fn active(values: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::Gelu => exact_gelu(values),
        Activation::GeluTanh => {
            let cubes = values.clone() * values.clone() * values.clone();
            let inner = (cubes * 0.044715 + values.clone()) * FRAC_2_PI.sqrt();
            values * ((tanh(inner) + 1.0) * 0.5)
        }
        Activation::Relu => relu(values),
        Activation::Silu => values.clone() * sigmoid(values),
        Activation::Tanh => tanh(values),
    }
}

/// GELU by the error function, and so its derivative; that of burn's own is the approximation by
/// tanh on some backends.
fn exact_gelu(values: Tensor<2>) -> Tensor<2> {
    let share = ((values.clone() / SQRT_2).erf() + 1.0) * 0.5;
    values * share
}

pub(super) fn linear(inputs: usize, outputs: usize, has_bias: bool, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).with_bias(has_bias).init(device)
}

pub(super) fn layer_norm(dim: usize, epsilon: f64, has_bias: bool, device: &Device) -> LayerNorm {
    LayerNormConfig::new(dim).with_epsilon(epsilon).with_bias(has_bias).init(device)
}
