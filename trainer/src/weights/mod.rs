//! Weights between safetensors files and the network, by the names of its fields.

mod checkpoint;
mod names;
mod raw;
mod save;

use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

pub(crate) use checkpoint::Checkpoint;
pub(crate) use names::in_checkpoint;
pub(crate) use raw::{values, with_values};
pub(crate) use save::save;

use crate::distilbert::DistilBertClassifier;
use crate::model_config::Family;

/// A tensor that does not fit the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The model needs it, and it is not there.
    Missing(String),
    /// It is there, and the model has no place for it.
    Unused(String),
    /// It is there twice, under one name or under an old and a new one.
    Duplicate(String),
    /// It has another shape than the model needs.
    Shape {
        /// The tensor's name.
        name: String,
        /// What the model needs.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// Its elements are not floating-point numbers.
    ElementType {
        /// The tensor's name.
        name: String,
        /// The elements' type.
        found: String,
    },
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::Unused(name) => write!(f, "{name} is unknown"),
            Self::Duplicate(name) => write!(f, "{name} is there twice"),
            Self::Shape { name, expected, found } => {
                write!(f, "{name} has shape {found:?} instead of {expected:?}")
            }
            Self::ElementType { name, found } => write!(f, "{name} has elements of type {found}"),
        }
    }
}

/// Moves every tensor of the checkpoint to its place in the network.
/// Each must have a place, and each place its tensor.
pub(crate) fn fill(
    network: DistilBertClassifier,
    checkpoint: Checkpoint,
    family: Family,
    device: &Device,
) -> Result<DistilBertClassifier, Vec<TensorProblem>> {
    let mut filler =
        Filler { checkpoint, family, device, name: TensorName::default(), problems: Vec::new() };
    let network = network.map(&mut filler);
    let Filler { checkpoint, mut problems, .. } = filler;
    problems.extend(checkpoint.into_names().map(TensorProblem::Unused));
    if problems.is_empty() { Ok(network) } else { Err(problems) }
}

struct Filler<'a> {
    checkpoint: Checkpoint,
    family: Family,
    device: &'a Device,
    name: TensorName,
    problems: Vec<TensorProblem>,
}

impl Filler<'_> {
    fn take(&mut self, shape: &[usize]) -> Result<TensorData, TensorProblem> {
        let name = in_checkpoint(self.family, &self.name.to_string());
        let found =
            self.checkpoint.take(&name).ok_or_else(|| TensorProblem::Missing(name.clone()))?;
        let mut expected = shape.to_vec();
        if self.name.is_transposed() {
            expected.reverse();
        }
        if found.shape != expected {
            return Err(TensorProblem::Shape { name, expected, found: found.shape });
        }
        let values =
            found.into_values().map_err(|found| TensorProblem::ElementType { name, found })?;
        let values = match expected[..] {
            [rows, columns] if self.name.is_transposed() => transposed(&values, rows, columns),
            _ => values,
        };
        Ok(TensorData::new(values, shape.to_vec()))
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
        match self.take(&param.lazy_shape().to_vec()) {
            Ok(data) => Param::from_tensor(Tensor::from_data(data, self.device)),
            Err(problem) => {
                self.problems.push(problem);
                param
            }
        }
    }
}

/// Where in the network a walk is, as the checkpoint names it.
#[derive(Debug, Default)]
pub(crate) struct TensorName(Vec<(String, Kind)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Linear,
    LayerNorm,
    Other,
}

impl TensorName {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        let kind = match container {
            "Struct:Linear" => Kind::Linear,
            "Struct:LayerNorm" => Kind::LayerNorm,
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
        let part = |depth: usize| self.0.get(depth).map(|(name, _)| name.as_str());
        match (part(1), part(3).and_then(|number| number.parse::<usize>().ok())) {
            (Some("embeddings"), _) => true,
            (Some("transformer"), Some(number)) => number < n_layers,
            _ => false,
        }
    }

    /// Whether weight decay leaves it alone: biases and LayerNorm.
    pub(crate) fn is_free_of_decay(&self) -> bool {
        self.0.last().is_some_and(|(name, kind)| *kind == Kind::LayerNorm || name == "bias")
    }
}

impl fmt::Display for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, (name, _)) in self.0.iter().enumerate() {
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
