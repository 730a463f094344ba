//! Weights between a checkpoint's tensors and the network, by the names of its fields.

mod raw;
mod save;

use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use checkpoint::Tensors;
pub(crate) use raw::{values, with_values};
pub(crate) use save::saved;

use crate::distilbert::DistilBertClassifier;

/// Moves every tensor of the checkpoint to its place in the network, which was made for it: each
/// place has its tensor.
pub(crate) fn fill(
    network: DistilBertClassifier,
    tensors: &Tensors,
    device: &Device,
) -> DistilBertClassifier {
    network.map(&mut Filler { tensors, device, name: TensorName::default() })
}

struct Filler<'a> {
    tensors: &'a Tensors,
    device: &'a Device,
    name: TensorName,
}

impl Filler<'_> {
    fn values(&self, shape: &[usize]) -> TensorData {
        let tensor = self.tensors.get(&self.name.to_string());
        let tensor = tensor.expect("a checkpoint has all tensors of its network");
        let values = match *tensor.shape() {
            [rows, columns] if self.name.is_transposed() => {
                transposed(&tensor.floats(), rows, columns)
            }
            _ => tensor.floats(),
        };
        TensorData::new(values, shape.to_vec())
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let values = self.values(&param.lazy_shape().to_vec());
        Param::from_tensor(Tensor::from_data(values, self.device))
    }
}

/// Where in the network a walk is, as the checkpoint names it.
#[derive(Debug, Default)]
pub(crate) struct TensorName(Vec<(String, Kind)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Linear,
    LayerNorm,
    /// One of several kinds of a part, which the checkpoint does not name.
    Variant,
    Other,
}

impl TensorName {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        let kind = match container {
            "Struct:Linear" => Kind::Linear,
            "Struct:LayerNorm" => Kind::LayerNorm,
            _ if container.starts_with("Enum:") => Kind::Variant,
            _ => Kind::Other,
        };
        let name = match (kind, name) {
            (Kind::LayerNorm, "gamma") => "weight",
            (Kind::LayerNorm, "beta") => "bias",
            _ => name,
        };
        self.0.push((name.to_owned(), kind));
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// Whether PyTorch keeps this one as `[out, in]`, and burn as `[in, out]`.
    pub(crate) fn is_transposed(&self) -> bool {
        self.0.last().is_some_and(|(name, kind)| *kind == Kind::Linear && name == "weight")
    }

    /// Whether it belongs to the embeddings, or to one of the first layers.
    pub(crate) fn is_below(&self, n_layers: usize) -> bool {
        let part = |depth: usize| self.parts().nth(depth);
        match (part(1), part(3).and_then(|number| number.parse::<usize>().ok())) {
            (Some("embeddings"), _) => true,
            (Some("transformer"), Some(number)) => number < n_layers,
            _ => false,
        }
    }

    /// Whether weight decay leaves it alone: biases, those by distance too, and LayerNorm. The same
    /// ones as in `transformers`' `Trainer`.
    pub(crate) fn is_free_of_decay(&self) -> bool {
        let is_norm = self.0.last().is_some_and(|(_, kind)| *kind == Kind::LayerNorm);
        is_norm || self.parts().any(|part| part.ends_with("bias"))
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(|(_, kind)| *kind != Kind::Variant);
        named.map(|(name, _)| name.as_str())
    }
}

impl fmt::Display for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, name) in self.parts().enumerate() {
            write!(f, "{}{name}", if depth == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

/// Swaps rows and columns, in tiles that stay in the cache.
pub(crate) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut swapped = vec![0.0; values.len()];
    for row in (0..rows).step_by(TILE) {
        for column in (0..columns).step_by(TILE) {
            for r in row..(row + TILE).min(rows) {
                for c in column..(column + TILE).min(columns) {
                    swapped[c * rows + r] = values[r * columns + c];
                }
            }
        }
    }
    swapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_changes_nothing() {
        let values: Vec<f32> = (0..70 * 41).map(|n| n as f32).collect();
        let swapped = transposed(&values, 70, 41);
        assert_eq!(swapped[..3], [0.0, 41.0, 82.0]);
        assert_eq!(transposed(&swapped, 41, 70), values);
    }
}
