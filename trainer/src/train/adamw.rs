//! AdamW in one pass over the weights.
//!
//! burn's own takes about ten passes; in one pass the step is bound by memory only.
//! Every value is computed for itself and sums have a fixed order, so that any number of threads
//! gives the same bits.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::distilbert::DistilBertClassifier;
use crate::vectors::vectors;
use crate::weights::TensorName;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Values that a thread works on at once.
const CHUNK: usize = 1 << 14;

/// The gradients of a step, by the names of their tensors.
#[derive(Default)]
pub(super) struct NamedGradients(BTreeMap<String, Vec<f32>>);

/// Means of the gradients so far.
#[derive(Debug, Default)]
pub(super) struct AdamW {
    moments: BTreeMap<String, Moments>,
    n_steps: i32,
}

#[derive(Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What a step does to every value.
#[derive(Clone, Copy)]
struct Rates {
    /// What gradients are multiplied with, to clip them.
    scale: f32,
    /// What weights are multiplied with, to decay them.
    keep: f32,
    step_size: f32,
    /// The square root of the second moment's bias correction.
    correction: f32,
}

impl NamedGradients {
    /// Takes the gradients of all weights out of a backward pass.
    pub(super) fn collect(network: &DistilBertClassifier, gradients: Gradients) -> Self {
        let mut collector =
            Collector { gradients, name: TensorName::default(), named: BTreeMap::new() };
        network.visit(&mut collector);
        Self(collector.named)
    }

    /// Adds another batch's.
    pub(super) fn add(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (name, values) in other.0 {
            let Some(sums) = self.0.get_mut(&name) else { continue };
            let chunks = sums.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
            chunks.for_each(|(sums, values)| {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value)
            });
        }
    }

    /// The norm over all values.
    pub(super) fn norm(&self) -> f64 {
        // In lanes, because one sum would wait for itself at every value.
        let square = |values: &[f32]| {
            let mut lanes = [0.0_f64; 16];
            let chunks = values.chunks_exact(16);
            let rest: f64 = chunks.remainder().iter().map(|v| f64::from(*v).powi(2)).sum();
            vectors(|| {
                for chunk in chunks {
                    lanes
                        .iter_mut()
                        .zip(chunk)
                        .for_each(|(lane, v)| *lane += f64::from(*v) * f64::from(*v));
                }
            });
            lanes.iter().sum::<f64>() + rest
        };
        let of_tensor = |values: &Vec<f32>| {
            let parts: Vec<f64> = values.par_chunks(CHUNK).map(square).collect();
            parts.iter().sum::<f64>()
        };
        self.0.values().map(of_tensor).sum::<f64>().sqrt()
    }

    /// Names and values, in burn's layout.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Vec<f32>)> {
        self.0.iter()
    }
}

struct Collector {
    gradients: Gradients,
    name: TensorName,
    named: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(&mut self.gradients) {
            let values = gradient.into_data().try_into_vec::<f32>().expect("gradients are f32");
            self.named.insert(self.name.to_string(), values);
        }
    }
}

impl AdamW {
    /// The moments as they were after some steps.
    pub(super) fn restored(
        first: BTreeMap<String, Vec<f32>>,
        mut second: BTreeMap<String, Vec<f32>>,
        n_steps: usize,
    ) -> Self {
        let joined = |(name, first): (String, Vec<f32>)| {
            let second = second.remove(&name).filter(|second| second.len() == first.len());
            Some((name, Moments { second: second?, first }))
        };
        Self { moments: first.into_iter().filter_map(joined).collect(), n_steps: n_steps as i32 }
    }

    /// SHA-256 of the first and second moments' bytes, little-endian, by name.
    pub(super) fn digests(&self) -> BTreeMap<String, [u8; 32]> {
        let named = self.moments.par_iter().flat_map(|(name, moments)| {
            let Moments { first, second } = moments;
            [(format!("first/{name}"), sha256(first)), (format!("second/{name}"), sha256(second))]
        });
        named.collect()
    }

    /// First and second moments by name.
    pub(super) fn moments(&self) -> (BTreeMap<String, Vec<f32>>, BTreeMap<String, Vec<f32>>) {
        let named = |of: fn(&Moments) -> &Vec<f32>| {
            self.moments.iter().map(|(name, moments)| (name.clone(), of(moments).clone())).collect()
        };
        (named(|moments| &moments.first), named(|moments| &moments.second))
    }

    /// Moves the weights against their gradients, which are clipped before by the norm that they
    /// have. Source: "Decoupled Weight Decay Regularization", algorithm 2; same as
    /// `torch.optim.AdamW`.
    pub(super) fn step(
        &mut self,
        network: DistilBertClassifier,
        (gradients, norm): (&NamedGradients, f64),
        rate: f64,
        options: &StepOptions,
    ) -> DistilBertClassifier {
        self.n_steps += 1;
        let scale = (options.max_grad_norm / (norm + 1e-6)).min(1.0);
        let corrected = |beta: f32| 1.0 - f64::from(beta).powi(self.n_steps);
        let rates = Rates {
            scale: scale as f32,
            keep: (1.0 - rate * options.weight_decay) as f32,
            step_size: (rate / corrected(BETA_1)) as f32,
            correction: corrected(BETA_2).sqrt() as f32,
        };
        let name = TensorName::default();
        network.map(&mut Update {
            optimizer: self,
            gradients,
            rates,
            name,
            device: &options.device,
        })
    }
}

fn sha256(values: &[f32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::with_capacity(CHUNK * size_of::<f32>());
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        chunk.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        hasher.update(&bytes);
    }
    hasher.finalize().into()
}

/// What stays the same in all steps.
pub(super) struct StepOptions {
    pub(super) max_grad_norm: f64,
    pub(super) weight_decay: f64,
    /// Where the weights live, with automatic differentiation.
    pub(super) device: Device,
}

struct Update<'a> {
    optimizer: &'a mut AdamW,
    gradients: &'a NamedGradients,
    rates: Rates,
    name: TensorName,
    device: &'a Device,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.name.to_string();
        let Some(gradient) = self.gradients.0.get(&name) else { return param };
        let mut rates = self.rates;
        if self.name.is_free_of_decay() {
            rates.keep = 1.0;
        }
        let moments = self.optimizer.moments.entry(name).or_insert_with(|| Moments {
            first: vec![0.0; gradient.len()],
            second: vec![0.0; gradient.len()],
        });
        let mut data = param.into_value().without_autodiff().into_data();
        update(data.as_mut_slice().expect("weights are f32"), gradient, moments, rates);
        Param::from_tensor(Tensor::from_data(data, self.device))
    }
}

fn update(weights: &mut [f32], gradient: &[f32], moments: &mut Moments, rates: Rates) {
    weights
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(moments.first.par_chunks_mut(CHUNK))
        .zip(moments.second.par_chunks_mut(CHUNK))
        .for_each(|(((weights, gradient), first), second)| {
            let values = weights.iter_mut().zip(gradient).zip(first).zip(second);
            vectors(|| {
                for (((weight, gradient), first), second) in values {
                    let gradient = gradient * rates.scale;
                    *first += (gradient - *first) * (1.0 - BETA_1);
                    *second = *second * BETA_2 + gradient * gradient * (1.0 - BETA_2);
                    let divisor = second.sqrt() / rates.correction + EPSILON;
                    *weight = *weight * rates.keep - rates.step_size * (*first / divisor);
                }
            });
        });
}
