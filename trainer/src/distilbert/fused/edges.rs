//! The layers before and after the encoder as operations of burn's flex: LayerNorm, and dense
//! layers with their activation.
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

use super::kernels::{
    gelu, gelu_backward, linear, linear_backward, normalize, normalize_backward, relu, scaled,
};
use super::{Primitive, contiguous, register, slice, tensor};

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
}

/// Runs a LayerNorm.
pub(in crate::distilbert) fn layer_norm(
    norm: &LayerNorm,
    input: Tensor<2>,
    epsilon: f64,
) -> Tensor<2> {
    let shift = norm.beta.as_ref().expect("every LayerNorm has a shift").val();
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
    let bias = layer.bias.as_ref().expect("every layer has a bias").val();
    let (weight, bias) =
        (Tensor::<2>::into_dispatch(layer.weight.val()), Tensor::<1>::into_dispatch(bias));
    Tensor::from_dispatch(<Dispatch as EdgeOps>::dense(
        input.into_dispatch(),
        weight,
        bias,
        activation,
    ))
}

/// Values of mean 0 and variance 1, and what they were divided by, inverted.
fn normalized(input: &Primitive, dim: usize, epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let mut values = slice(input).to_vec();
    let inverses = normalize(&mut values, dim, epsilon);
    (values, inverses)
}

/// What comes out, or with GELU what goes into it.
fn activated(
    input: &Primitive,
    weight: &Primitive,
    bias: &Primitive,
    activation: Option<Activation>,
) -> Vec<f32> {
    let mut output = linear(slice(input), slice(weight), slice(bias));
    match activation {
        Some(Activation::Relu) => output.iter_mut().for_each(|value| *value = relu(*value)),
        Some(Activation::Tanh) => output.iter_mut().for_each(|value| *value = libm::tanhf(*value)),
        _ => {}
    }
    output
}

/// Whose derivative is told by what goes in, and not by what comes out.
fn is_gelu(activation: Option<Activation>) -> bool {
    activation.is_some_and(|activation| !matches!(activation, Activation::Relu | Activation::Tanh))
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
        let mut output = activated(&input, &weight, &bias, activation);
        if is_gelu(activation) {
            output = gelu(&output);
        }
        let n_outputs = slice(&bias).len();
        let shape = [output.len() / n_outputs, n_outputs];
        tensor(output, shape)
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
    /// After the activation; before it where that is GELU.
    output: Vec<f32>,
    activation: Option<Activation>,
}

#[derive(Debug)]
struct DenseBackward;

impl Backward<Flex, 3> for DenseBackward {
    type State = Applied;

    fn backward(self, ops: Ops<Applied, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Applied { input, weight, output, activation } = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [_, n_outputs] = gradient.layout().shape().dims();
        let mut gradient = slice(&gradient).to_vec();
        if is_gelu(activation) {
            gelu_backward(&mut gradient, &output);
        }
        let values = gradient.iter_mut().zip(&output);
        match activation {
            Some(Activation::Relu) => {
                values.for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 })
            }
            Some(Activation::Tanh) => values.for_each(|(g, y)| *g *= 1.0 - y * y),
            _ => {}
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
        let output = activated(&input, &weight, &bias, activation);
        let n_outputs = slice(&bias).len();
        let shape = [output.len() / n_outputs, n_outputs];
        match DenseBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let values = if is_gelu(activation) { gelu(&output) } else { output.clone() };
                let values = tensor(values, shape);
                prep.finish(Applied { input, weight, output, activation }, values)
            }
            OpsKind::UnTracked(prep) => {
                let values = if is_gelu(activation) { gelu(&output) } else { output };
                prep.finish(tensor(values, shape))
            }
        }
    }
}
