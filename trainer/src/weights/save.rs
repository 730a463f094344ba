//! The network's tensors as PyTorch would save them: its layout, and 32 bits.

use std::borrow::Cow;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::{Dtype, View};

use super::{TensorName, transposed};
use crate::distilbert::DistilBertClassifier;

/// All tensors, by the network's own names.
pub(crate) fn saved(network: &DistilBertClassifier) -> Vec<(String, Saved)> {
    let mut collector = Collector::default();
    network.visit(&mut collector);
    collector.tensors
}

#[derive(Default)]
struct Collector {
    name: TensorName,
    tensors: Vec<(String, Saved)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        let mut shape = data.shape().to_vec();
        let is_transposed = self.name.is_transposed();
        if is_transposed {
            shape.reverse();
        }
        self.tensors.push((self.name.to_string(), Saved { shape, data, is_transposed }));
    }
}

/// One tensor on its way to the file.
pub(crate) struct Saved {
    /// As the file has it.
    shape: Vec<usize>,
    data: TensorData,
    is_transposed: bool,
}

impl View for Saved {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.data.as_slice::<f32>().expect("weights are f32");
        let values = match self.shape[..] {
            [rows, columns] if self.is_transposed => Cow::Owned(transposed(values, columns, rows)),
            _ => Cow::Borrowed(values),
        };
        let mut bytes = Vec::with_capacity(values.len() * size_of::<f32>());
        values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.data.num_elements() * size_of::<f32>()
    }
}
