//! The network's values as they are in memory: for the state of a training that may be interrupted.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::TensorName;
use crate::distilbert::DistilBertClassifier;

/// Every tensor by the network's own name, in burn's layout.
pub(crate) fn values(network: &DistilBertClassifier) -> BTreeMap<String, Vec<f32>> {
    let mut collector = Collector::default();
    network.visit(&mut collector);
    collector.values
}

/// The network with these values; the name of a tensor that is missing or has another size is the
/// error.
pub(crate) fn with_values(
    network: DistilBertClassifier,
    values: BTreeMap<String, Vec<f32>>,
    device: &Device,
) -> Result<DistilBertClassifier, String> {
    let mut setter = Setter { name: TensorName::default(), values, device, problem: None };
    let network = network.map(&mut setter);
    match setter.problem {
        Some(name) => Err(name),
        None => Ok(network),
    }
}

#[derive(Default)]
struct Collector {
    name: TensorName,
    values: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().try_into_vec::<f32>().expect("weights are f32");
        self.values.insert(self.name.to_string(), values);
    }
}

struct Setter<'a> {
    name: TensorName,
    values: BTreeMap<String, Vec<f32>>,
    device: &'a Device,
    problem: Option<String>,
}

impl ModuleMapper for Setter<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (name, shape) = (self.name.to_string(), param.lazy_shape().to_vec());
        match self
            .values
            .remove(&name)
            .filter(|values| values.len() == shape.iter().product::<usize>())
        {
            Some(values) => {
                Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
            }
            None => {
                self.problem.get_or_insert(name);
                param
            }
        }
    }
}
