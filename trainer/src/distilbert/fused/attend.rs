//! Attention as one operation of burn's flex, for layers that are not fused as a whole.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::attention::{self, AttentionSpec};
use super::{Primitive, contiguous, register, slice, tensor};

/// The operation, and the backends that have it.
#[backend_extension(Flex, Autodiff)]
trait AttentionOps: Backend {
    /// `query`, `key`, `value`: `[tokens, dim]`; `first`, `second`: the tables, whose shapes are
    /// those of `attention::attend`, or something empty. Returns the shape of `query`.
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        spec: Arc<AttentionSpec>,
    ) -> FloatTensor<Self>;
}

/// The context of each token: `[tokens, dim]`, as the others are.
pub(in crate::distilbert) fn attend(
    [query, key, value]: [Tensor<2>; 3],
    tables: [Option<Tensor<2>>; 2],
    spec: Arc<AttentionSpec>,
) -> Tensor<2> {
    let device = query.device();
    let [first, second] =
        tables.map(|table| table.unwrap_or_else(|| Tensor::zeros([1, 1], &device)));
    Tensor::from_dispatch(<Dispatch as AttentionOps>::attend(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        spec,
    ))
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct State {
    /// After they were turned.
    turned: Arc<[Vec<f32>; 2]>,
    value: Primitive,
    tables: [Primitive; 2],
    /// Before dropout.
    attention: Arc<Vec<f32>>,
    spec: Arc<AttentionSpec>,
}

fn width(tensor: &Primitive) -> usize {
    tensor.layout().shape().dims::<2>()[1]
}

fn run(
    [query, key, value, first, second]: [Primitive; 5],
    spec: Arc<AttentionSpec>,
) -> (Primitive, State) {
    let dim = width(&value);
    let turned = [&query, &key].map(|tensor| {
        let mut values = slice(tensor).to_vec();
        spec.turn(&mut values, dim, false);
        values
    });
    let both = turned.each_ref().map(Vec::as_slice);
    let found = attention::attend(both, [slice(&first), slice(&second)], dim, &spec);
    let context = attention::gather(&found, slice(&value), dim, &spec);
    let context = tensor(context, value.layout().shape().clone());
    let tables = [first, second];
    (context, State { turned: turned.into(), value, tables, attention: found.into(), spec })
}

impl AttentionOps for Flex {
    fn attend(
        query: Primitive,
        key: Primitive,
        value: Primitive,
        first: Primitive,
        second: Primitive,
        spec: Arc<AttentionSpec>,
    ) -> Primitive {
        run([query, key, value, first, second].map(contiguous), spec).0
    }
}

#[derive(Debug)]
struct AttendBackward;

impl Backward<Flex, 5> for AttendBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State { turned, value, tables, attention, spec } = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let dim = width(&value);
        let [query, key] = turned.each_ref().map(Vec::as_slice);
        let (mut of_values, of_tables) = attention::backward(
            slice(&gradient),
            [query, key, slice(&value)],
            tables.each_ref().map(slice),
            &attention,
            dim,
            &spec,
        );
        for gradient in &mut of_values[..2] {
            spec.turn(gradient, dim, true);
        }
        let shapes = [&value, &value, &value, &tables[0], &tables[1]];
        let found = of_values.into_iter().chain(of_tables).zip(shapes);
        let found = found.map(|(values, like)| tensor(values, like.layout().shape().clone()));
        register(ops.parents.map(|input| input.map(|node| node.id)), found, grads);
    }
}

impl<C: CheckpointStrategy> AttentionOps for Autodiff<Flex, C> {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        spec: Arc<AttentionSpec>,
    ) -> FloatTensor<Self> {
        let all = [query, key, value, first, second];
        let nodes = all.each_ref().map(|tensor| tensor.node());
        let (context, state) = run(all.map(|tensor| contiguous(tensor.into_primitive())), spec);
        match AttendBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, context),
            OpsKind::UnTracked(prep) => prep.finish(context),
        }
    }
}
