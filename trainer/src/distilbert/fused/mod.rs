//! The encoder layer as one operation of burn's flex, with its own way back.
//!
//! burn's own operations take it apart into some forty, each of which takes new memory and most of
//! which use one thread. As one operation it skips padding, keeps fewer values between the two
//! passes, and shares all of its work between the threads. Other backends take the layer in burn's
//! own operations; tests hold both to PyTorch's figures.

mod activations;
mod attend;
mod attention;
mod edges;
mod kernels;
mod layer;

use std::sync::Arc;

pub(super) use attend::attend;
pub(super) use attention::{AttentionSpec, Kept};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Shape, Tensor, TensorData};
pub(super) use edges::{affine, dense, gated, layer_norm};
pub(super) use layer::LayerSpec;
use layer::{Saved, TENSORS};

/// The operation, and the backends that have it.
#[backend_extension(Flex, Autodiff)]
trait EncoderOps: Backend {
    /// `hidden`: `[tokens, dim]`; the others as `layer` orders them. Returns the shape of `hidden`.
    #[allow(
        clippy::too_many_arguments,
        reason = "the macro that dispatches takes tensors one by one"
    )]
    fn encoder_layer(
        hidden: FloatTensor<Self>,
        t0: FloatTensor<Self>,
        t1: FloatTensor<Self>,
        t2: FloatTensor<Self>,
        t3: FloatTensor<Self>,
        t4: FloatTensor<Self>,
        t5: FloatTensor<Self>,
        t6: FloatTensor<Self>,
        t7: FloatTensor<Self>,
        t8: FloatTensor<Self>,
        t9: FloatTensor<Self>,
        t10: FloatTensor<Self>,
        t11: FloatTensor<Self>,
        t12: FloatTensor<Self>,
        t13: FloatTensor<Self>,
        t14: FloatTensor<Self>,
        t15: FloatTensor<Self>,
        spec: Arc<LayerSpec>,
    ) -> FloatTensor<Self>;
}

/// The layer's weights and biases, as burn has them.
pub(super) type LayerTensors = (Vec<Tensor<2>>, Vec<Tensor<1>>);

/// Runs a layer. `matrices`: query, key, value, output, wide, narrow, all `[in, out]`; `vectors`:
/// their biases, then scale and shift of both LayerNorms.
pub(super) fn encoder_layer(
    hidden: Tensor<2>,
    (matrices, vectors): LayerTensors,
    spec: Arc<LayerSpec>,
) -> Tensor<2> {
    let [query, key, value, out, wide, narrow] =
        matrices.try_into().expect("a layer has six matrices");
    let [b_query, b_key, b_value, b_out, b_wide, b_narrow, scale_1, shift_1, scale_2, shift_2] =
        vectors.try_into().expect("a layer has ten vectors");
    Tensor::from_dispatch(<Dispatch as EncoderOps>::encoder_layer(
        hidden.into_dispatch(),
        Tensor::<2>::into_dispatch(query),
        Tensor::<1>::into_dispatch(b_query),
        Tensor::<2>::into_dispatch(key),
        Tensor::<1>::into_dispatch(b_key),
        Tensor::<2>::into_dispatch(value),
        Tensor::<1>::into_dispatch(b_value),
        Tensor::<2>::into_dispatch(out),
        Tensor::<1>::into_dispatch(b_out),
        Tensor::<1>::into_dispatch(scale_1),
        Tensor::<1>::into_dispatch(shift_1),
        Tensor::<2>::into_dispatch(wide),
        Tensor::<1>::into_dispatch(b_wide),
        Tensor::<2>::into_dispatch(narrow),
        Tensor::<1>::into_dispatch(b_narrow),
        Tensor::<1>::into_dispatch(scale_2),
        Tensor::<1>::into_dispatch(shift_2),
        spec,
    ))
}

type Primitive = FloatTensor<Flex>;

/// A tensor whose values lie one after the other.
fn contiguous(tensor: Primitive) -> Primitive {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn slice(tensor: &Primitive) -> &[f32] {
    tensor.as_slice::<f32>().expect("it is contiguous, and of f32")
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Primitive {
    Primitive::from_data(TensorData::new(values, shape.into()))
}

/// Hands on the gradients of those inputs that have a use for them.
fn register(
    inputs: impl IntoIterator<Item = Option<NodeId>>,
    found: impl IntoIterator<Item = Primitive>,
    grads: &mut Gradients,
) {
    for (input, gradient) in inputs.into_iter().zip(found) {
        if let Some(input) = input {
            grads.register::<Flex>(input, gradient);
        }
    }
}

fn run(hidden: &Primitive, tensors: &[Primitive; TENSORS], spec: &LayerSpec) -> (Primitive, Saved) {
    let (output, saved) = layer::forward(slice(hidden), &tensors.each_ref().map(slice), spec);
    (tensor(output, hidden.layout().shape().clone()), saved)
}

impl EncoderOps for Flex {
    fn encoder_layer(
        hidden: Primitive,
        t0: Primitive,
        t1: Primitive,
        t2: Primitive,
        t3: Primitive,
        t4: Primitive,
        t5: Primitive,
        t6: Primitive,
        t7: Primitive,
        t8: Primitive,
        t9: Primitive,
        t10: Primitive,
        t11: Primitive,
        t12: Primitive,
        t13: Primitive,
        t14: Primitive,
        t15: Primitive,
        spec: Arc<LayerSpec>,
    ) -> Primitive {
        let tensors =
            [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15].map(contiguous);
        run(&contiguous(hidden), &tensors, &spec).0
    }
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct State {
    hidden: Primitive,
    tensors: [Primitive; TENSORS],
    saved: Arc<Saved>,
    spec: Arc<LayerSpec>,
}

#[derive(Debug)]
struct LayerBackward;

impl Backward<Flex, { TENSORS + 1 }> for LayerBackward {
    type State = State;

    fn backward(
        self,
        ops: Ops<State, { TENSORS + 1 }>,
        grads: &mut Gradients,
        _: &mut Checkpointer,
    ) {
        let State { hidden, tensors, saved, spec } = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let gradient = slice(&gradient).to_vec();
        let (of_hidden, found) = layer::backward(
            gradient,
            slice(&hidden),
            &tensors.each_ref().map(slice),
            &saved,
            &spec,
        );
        let found = std::iter::once(of_hidden).chain(found);
        let likes = std::iter::once(&hidden).chain(&tensors);
        let found =
            found.zip(likes).map(|(values, like)| tensor(values, like.layout().shape().clone()));
        register(ops.parents.map(|input| input.map(|node| node.id)), found, grads);
    }
}

impl<C: CheckpointStrategy> EncoderOps for Autodiff<Flex, C> {
    fn encoder_layer(
        hidden: FloatTensor<Self>,
        t0: FloatTensor<Self>,
        t1: FloatTensor<Self>,
        t2: FloatTensor<Self>,
        t3: FloatTensor<Self>,
        t4: FloatTensor<Self>,
        t5: FloatTensor<Self>,
        t6: FloatTensor<Self>,
        t7: FloatTensor<Self>,
        t8: FloatTensor<Self>,
        t9: FloatTensor<Self>,
        t10: FloatTensor<Self>,
        t11: FloatTensor<Self>,
        t12: FloatTensor<Self>,
        t13: FloatTensor<Self>,
        t14: FloatTensor<Self>,
        t15: FloatTensor<Self>,
        spec: Arc<LayerSpec>,
    ) -> FloatTensor<Self> {
        let all = [hidden, t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15];
        let nodes = all.each_ref().map(|tensor| tensor.node());
        let [hidden, tensors @ ..] = all.map(|tensor| contiguous(tensor.into_primitive()));
        let (output, saved) = run(&hidden, &tensors, &spec);
        match LayerBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(State { hidden, tensors, saved: Arc::new(saved), spec }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
