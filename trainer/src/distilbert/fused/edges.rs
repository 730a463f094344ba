//! LayerNorm, dense layers with their activation and gates as operations of burn's flex: for the
//! layers before and after the encoder, and for those that are not fused as a whole.
//!
//! burn's own sum in an order that depends on the width of the processor's vectors, and then so
//! would the weights.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use checkpoint::Activation;
use rayon::prelude::*;

use super::activations::{activated, activated_backward};
use super::kernels::{linear, linear_backward, normalize, normalize_backward, scaled};
use super::{Primitive, contiguous, register, slice, tensor};
use crate::vectors::vectors;

/// The operations, and the backends that have them.
#[backend_extension(Flex, Autodiff)]
trait EdgeOps: Backend {
    /// `input`: `[n, dim]`. Returns the same shape.
    fn layer_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// `input`: `[n, inputs]`; `weight`: `[inputs, outputs]`. Returns `[n, outputs]`.
    fn dense(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self>;

    /// `wide`: `[n, 2 * hidden]`. Returns `[n, hidden]`.
    fn gated(wide: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
}

/// Runs a LayerNorm.
pub(in crate::distilbert) fn layer_norm(
    norm: &LayerNorm,
    input: Tensor<2>,
    epsilon: f64,
) -> Tensor<2> {
    let shift = norm.beta.as_ref().map(|shift| shift.val());
    let shift = shift.unwrap_or_else(|| norm.gamma.val().zeros_like());
    let (scale, shift) =
        (Tensor::<1>::into_dispatch(norm.gamma.val()), Tensor::<1>::into_dispatch(shift));
    Tensor::from_dispatch(<Dispatch as EdgeOps>::layer_norm(
        input.into_dispatch(),
        scale,
        shift,
        epsilon as f32,
    ))
}

/// Runs a linear layer, and what follows it.
pub(in crate::distilbert) fn dense(
    layer: &Linear,
    input: Tensor<2>,
    activation: Option<Activation>,
) -> Tensor<2> {
    applied(input, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), activation)
}

/// A matrix product, and a sum with the same row everywhere. `input`: `[n, inputs]`; `weight`:
/// `[inputs, outputs]`. Returns `[n, outputs]`.
pub(in crate::distilbert) fn affine(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<2> {
    applied(input, weight, bias, None)
}

fn applied(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[1]], &input.device()));
    let (weight, bias) = (weight.into_dispatch(), Tensor::<1>::into_dispatch(bias));
    Tensor::from_dispatch(<Dispatch as EdgeOps>::dense(
        input.into_dispatch(),
        weight,
        bias,
        activation,
    ))
}

/// Runs the gate of a feed-forward network.
pub(in crate::distilbert) fn gated(wide: Tensor<2>, activation: Activation) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as EdgeOps>::gated(wide.into_dispatch(), activation))
}

/// Values of mean 0 and variance 1, and what they were divided by, inverted.
fn normalized(input: &Primitive, dim: usize, epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let mut values = slice(input).to_vec();
    let inverses = normalize(&mut values, dim, epsilon);
    (values, inverses)
}

impl EdgeOps for Flex {
    fn layer_norm(input: Primitive, scale: Primitive, shift: Primitive, epsilon: f32) -> Primitive {
        let [input, scale, shift] = [input, scale, shift].map(contiguous);
        let (values, _) = normalized(&input, slice(&scale).len(), epsilon);
        tensor(scaled(&values, slice(&scale), slice(&shift)), input.layout().shape().clone())
    }

    fn dense(
        input: Primitive,
        weight: Primitive,
        bias: Primitive,
        activation: Option<Activation>,
    ) -> Primitive {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        let output = after(linear(slice(&input), slice(&weight), slice(&bias)), activation);
        let n_outputs = slice(&bias).len();
        let shape = [output.len() / n_outputs, n_outputs];
        tensor(output, shape)
    }

    fn gated(wide: Primitive, activation: Activation) -> Primitive {
        gate(&contiguous(wide), activation)
    }
}

fn after(output: Vec<f32>, activation: Option<Activation>) -> Vec<f32> {
    match activation {
        Some(activation) => activated(&output, activation),
        None => output,
    }
}

/// The halves of each row, one after the other.
fn halves(wide: &Primitive) -> [Vec<f32>; 2] {
    let width = wide.layout().shape().dims::<2>()[1];
    let half = |first: usize| {
        let rows = slice(wide).par_chunks_exact(width);
        rows.flat_map_iter(|row| row[first..first + width / 2].iter().copied()).collect()
    };
    [half(0), half(width / 2)]
}

fn gate(wide: &Primitive, activation: Activation) -> Primitive {
    let [n, width] = wide.layout().shape().dims();
    let [left, right] = halves(wide);
    let mut output = activated(&left, activation);
    multiply(&mut output, &right);
    tensor(output, [n, width / 2])
}

fn multiply(values: &mut [f32], others: &[f32]) {
    values.par_chunks_mut(1 << 14).zip(others.par_chunks(1 << 14)).for_each(|(values, others)| {
        vectors(|| values.iter_mut().zip(others).for_each(|(value, other)| *value *= other));
    });
}

#[derive(Debug)]
struct GatedBackward;

impl Backward<Flex, 1> for GatedBackward {
    type State = (Primitive, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (wide, activation) = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [left, right] = halves(&wide);
        let mut of_right = activated(&left, activation);
        multiply(&mut of_right, slice(&gradient));
        let mut of_left = slice(&gradient).to_vec();
        multiply(&mut of_left, &right);
        activated_backward(&mut of_left, &left, activation);
        let [_, width] = wide.layout().shape().dims();
        let rows = of_left.chunks_exact(width / 2).zip(of_right.chunks_exact(width / 2));
        let of_wide = rows.flat_map(|(left, right)| left.iter().chain(right)).copied().collect();
        let found = [tensor(of_wide, wide.layout().shape().clone())];
        register(ops.parents.map(|input| input.map(|node| node.id)), found, grads);
    }
}

/// What a LayerNorm's way back needs.
#[derive(Clone, Debug)]
struct Normalized {
    scale: Primitive,
    values: Vec<f32>,
    inverses: Vec<f32>,
}

#[derive(Debug)]
struct LayerNormBackward;

impl Backward<Flex, 3> for LayerNormBackward {
    type State = Normalized;

    fn backward(self, ops: Ops<Normalized, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Normalized { scale, values, inverses } = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let shape = gradient.layout().shape().clone();
        let mut of_input = slice(&gradient).to_vec();
        let (of_scale, of_shift) =
            normalize_backward(&mut of_input, &values, &inverses, slice(&scale));
        let dim = [of_scale.len()];
        let found = [tensor(of_input, shape), tensor(of_scale, dim), tensor(of_shift, dim)];
        register(ops.parents.map(|input| input.map(|node| node.id)), found, grads);
    }
}

/// What a dense layer's way back needs.
#[derive(Clone, Debug)]
struct Applied {
    input: Primitive,
    weight: Primitive,
    /// Before the activation, where there is one.
    activation: Option<(Vec<f32>, Activation)>,
}

#[derive(Debug)]
struct DenseBackward;

impl Backward<Flex, 3> for DenseBackward {
    type State = Applied;

    fn backward(self, ops: Ops<Applied, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Applied { input, weight, activation } = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [_, n_outputs] = gradient.layout().shape().dims();
        let mut gradient = slice(&gradient).to_vec();
        if let Some((output, activation)) = activation {
            activated_backward(&mut gradient, &output, activation);
        }
        let mut of_input = vec![0.0; slice(&input).len()];
        let to = Some((&mut of_input[..], false));
        let (of_weight, of_bias) =
            linear_backward(&gradient, slice(&input), slice(&weight), n_outputs, to);
        let found = [
            tensor(of_input, input.layout().shape().clone()),
            tensor(of_weight, weight.layout().shape().clone()),
            tensor(of_bias, [n_outputs]),
        ];
        register(ops.parents.map(|input| input.map(|node| node.id)), found, grads);
    }
}

impl<C: CheckpointStrategy> EdgeOps for Autodiff<Flex, C> {
    fn layer_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let all = [input, scale, shift];
        let nodes = all.each_ref().map(|tensor| tensor.node());
        let [input, scale, shift] = all.map(|tensor| contiguous(tensor.into_primitive()));
        let (values, inverses) = normalized(&input, slice(&scale).len(), epsilon);
        let output =
            tensor(scaled(&values, slice(&scale), slice(&shift)), input.layout().shape().clone());
        match LayerNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Normalized { scale, values, inverses }, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn dense(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let all = [input, weight, bias];
        let nodes = all.each_ref().map(|tensor| tensor.node());
        let [input, weight, bias] = all.map(|tensor| contiguous(tensor.into_primitive()));
        let output = linear(slice(&input), slice(&weight), slice(&bias));
        let n_outputs = slice(&bias).len();
        let shape = [output.len() / n_outputs, n_outputs];
        match DenseBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (values, activation) = match activation {
                    Some(kind) => (activated(&output, kind), Some((output, kind))),
                    None => (output, None),
                };
                prep.finish(Applied { input, weight, activation }, tensor(values, shape))
            }
            OpsKind::UnTracked(prep) => prep.finish(tensor(after(output, activation), shape)),
        }
    }

    fn gated(wide: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let node = wide.node();
        let wide = contiguous(wide.into_primitive());
        let output = gate(&wide, activation);
        match GatedBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((wide, activation), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
