//! One step: forward, backward, AdamW.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use checkpoint::{Encoded, Network};

use super::TrainConfig;
use super::adamw::{AdamW, NamedGradients, StepOptions};
use super::loss::Loss;
use super::schedule::Schedule;
use crate::classifier::Classifier;
use crate::dataset::{Split, Target};
use crate::distilbert::{Batch, DistilBertClassifier, Dropout};
use crate::error::{Error, Result};
use crate::weights::TensorName;

/// Weights that learn, and all that changes with them.
pub(super) struct Learner {
    network: DistilBertClassifier,
    optimizer: AdamW,
    /// The loss of each step so far.
    pub(super) losses: Vec<f32>,
    fixed: Arc<Fixed>,
}

/// What stays the same in all steps.
struct Fixed {
    shape: Network,
    schedule: Schedule,
    loss: Loss,
    options: StepOptions,
    freeze_layers: Option<usize>,
    accumulation: usize,
    seed: u64,
}

/// Some texts' tokens, and what is right for them.
pub(super) struct Labelled<'a> {
    pub(super) texts: Vec<&'a Encoded>,
    pub(super) targets: Vec<&'a Target>,
}

impl Learner {
    pub(super) fn new(
        start: &Classifier,
        data: &Split,
        config: &TrainConfig,
        n_steps: usize,
    ) -> Self {
        let mut shape = start.config.network.clone();
        if let Some(dropout) = config.dropout {
            shape.dropout = dropout;
            shape.attention_dropout = dropout;
            shape.seq_classif_dropout = dropout;
        }
        let device = start.kind.device().autodiff();
        let n_labels = start.labels().len();
        Self {
            network: tracked(start.network.clone(), config.freeze_layers, &device),
            optimizer: AdamW::default(),
            losses: Vec::new(),
            fixed: Arc::new(Fixed {
                shape,
                schedule: Schedule::new(config.learning_rate, config.warmup, n_steps),
                loss: Loss::new(
                    start.task(),
                    config.label_smoothing,
                    &config.class_weights,
                    &data.train,
                    n_labels,
                ),
                options: StepOptions {
                    max_grad_norm: config.max_grad_norm,
                    weight_decay: config.weight_decay,
                    device,
                },
                freeze_layers: config.freeze_layers,
                accumulation: config.accumulation,
                seed: config.seed,
            }),
        }
    }

    /// The same training at another place.
    pub(super) fn restored(
        &self,
        network: DistilBertClassifier,
        first: BTreeMap<String, Vec<f32>>,
        second: BTreeMap<String, Vec<f32>>,
        losses: Vec<f32>,
    ) -> Self {
        let Fixed { freeze_layers, options, .. } = &*self.fixed;
        Self {
            network: tracked(network, *freeze_layers, &options.device),
            optimizer: AdamW::restored(first, second, losses.len()),
            losses,
            fixed: Arc::clone(&self.fixed),
        }
    }

    /// The weights as they are now, without automatic differentiation.
    pub(super) fn network(&self) -> DistilBertClassifier {
        self.network.valid()
    }

    /// The optimiser's first and second moments.
    pub(super) fn moments(&self) -> (BTreeMap<String, Vec<f32>>, BTreeMap<String, Vec<f32>>) {
        self.optimizer.moments()
    }

    /// The learning rate of the next step.
    pub(super) fn rate(&self) -> f64 {
        self.fixed.schedule.rate(self.losses.len())
    }

    /// The learning rates of all steps so far.
    pub(super) fn rates(&self) -> Vec<f64> {
        (0..self.losses.len()).map(|step| self.fixed.schedule.rate(step)).collect()
    }

    /// Learns from some batches of texts. Nothing of the graph outlives the step.
    pub(super) fn step(mut self, batches: &[Labelled<'_>]) -> Result<Self> {
        let step = self.losses.len();
        let (loss, gradients) = self.gradients(batches, step);
        let norm = gradients.norm();
        if !loss.is_finite() || !norm.is_finite() {
            return Err(Error::Diverged { step: step + 1 });
        }
        let rate = self.rate();
        self.network =
            self.optimizer.step(self.network, (&gradients, norm), rate, &self.fixed.options);
        self.losses.push(loss);
        Ok(self)
    }

    fn gradients(&self, batches: &[Labelled<'_>], step: usize) -> (f32, NamedGradients) {
        let Fixed { shape, loss, options, .. } = &*self.fixed;
        let total = batches.iter().map(|batch| loss.total(&batch.targets)).sum();
        let mut sum = (0.0, NamedGradients::default());
        for (n, Labelled { texts, targets }) in batches.iter().enumerate() {
            let batch = Batch::of(texts, shape, &options.device);
            let mut dropout =
                Dropout::of_step(self.fixed.seed, (step * self.fixed.accumulation + n) as u64);
            let logits = self.network.forward(&batch, shape, &mut dropout);
            let shape = logits.dims();
            let values: Vec<f32> =
                logits.clone().into_data().try_into_vec().expect("logits are f32");
            let (loss, gradient) = loss.of(&values, targets, total);
            sum.0 += loss;
            // Its gradient by the logits is the factor.
            let factor = Tensor::<2>::from_data(TensorData::new(gradient, shape), &logits.device());
            sum.1.add(NamedGradients::collect(&self.network, (logits * factor).sum().backward()));
        }
        (sum.0 as f32, sum.1)
    }
}

/// The network with every weight a leaf whose gradient is kept, but for those of frozen layers.
fn tracked(
    network: DistilBertClassifier,
    freeze_layers: Option<usize>,
    device: &Device,
) -> DistilBertClassifier {
    network.map(&mut Track { device, freeze_layers, name: TensorName::default() })
}

/// Moves weights to the device with automatic differentiation.
struct Track<'a> {
    device: &'a Device,
    freeze_layers: Option<usize>,
    name: TensorName,
}

impl ModuleMapper for Track<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.name.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.name.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let data = param.into_value().without_autodiff().into_data();
        let tensor = Tensor::from_data(data, self.device);
        match self.freeze_layers.is_some_and(|n_layers| self.name.is_below(n_layers)) {
            true => Param::initialized(ParamId::new(), tensor),
            false => Param::from_tensor(tensor),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use safetensors::SafeTensors;
    use serde_json::Value;

    use super::*;
    use crate::dataset::Example;
    use crate::device::DeviceKind;
    use crate::weights::transposed;

    /// The first step's gradients against PyTorch's, which a `make.py` wrote down.
    fn check_gradients(fixture: &str, kind: DeviceKind) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(fixture);
        let golden = fs_err::read(folder.join("golden.json")).expect("readable");
        let golden: Value = serde_json::from_slice(&golden).expect("JSON");
        let texts: Vec<String> =
            serde_json::from_value(golden["training"]["texts"].clone()).expect("texts");
        let labels: Vec<usize> =
            serde_json::from_value(golden["training"]["labels"].clone()).expect("labels");
        let examples: Vec<Example> = texts
            .into_iter()
            .zip(labels)
            .map(|(text, label)| Example::labelled(text, label))
            .collect();
        let classifier = Classifier::load(&folder, kind).expect("it loads");
        compare(&classifier, &examples, &golden, &folder.join("golden-gradients.safetensors"));
    }

    /// The same for the other tasks, and for pairs.
    fn check_task(name: &str, kind: DeviceKind) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tasks");
        let golden = fs_err::read(folder.join("golden.json")).expect("readable");
        let golden: Value = serde_json::from_slice(&golden).expect("JSON");
        let examples: Vec<Example> =
            serde_json::from_value(golden[name]["examples"].clone()).expect("examples");
        let classifier = Classifier::load(&folder.join(name), kind).expect("it loads");
        let gradients = folder.join(format!("{name}-gradients.safetensors"));
        compare(&classifier, &examples, &golden[name], &gradients);
    }

    fn compare(classifier: &Classifier, examples: &[Example], golden: &Value, path: &Path) {
        let kind = classifier.kind;
        let texts = classifier.encode(examples).expect("tokenized");
        let batch = Labelled {
            texts: texts.iter().map(|text| &text[0]).collect(),
            targets: examples.iter().map(|example| &example.target).collect(),
        };
        let config = TrainConfig { dropout: Some(0.0), ..TrainConfig::default() };
        let learner = Learner::new(classifier, &Split::default(), &config, 10);
        let (loss, gradients) = learner.gradients(&[batch], 0);
        let theirs = golden["training"]["losses"][0].as_f64().expect("a loss");
        assert!(
            (f64::from(loss) - theirs).abs() < 2e-6 * theirs.max(1.0),
            "{kind}: {loss} {theirs}"
        );
        let norm = golden["training"]["gradient_norms"][0].as_f64().expect("a norm");
        assert!(
            (gradients.norm() - norm).abs() < 1e-5 * norm,
            "{kind}: {} {norm}",
            gradients.norm()
        );

        let bytes = fs_err::read(path).expect("readable");
        let theirs = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert_eq!(gradients.iter().count(), theirs.len());
        for (name, ours) in gradients.iter() {
            let name = &classifier.config.architecture.tensor_name(name);
            let tensor = theirs.tensor(name).expect("the same names");
            let values =
                tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let mut values: Vec<f32> = values.collect();
            if let ([rows, columns], false) = (tensor.shape(), name.ends_with("_embeddings.weight"))
            {
                values = transposed(&values, *rows, *columns);
            }
            let norm = |values: &mut dyn Iterator<Item = f32>| {
                values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
            };
            let distance = norm(&mut ours.iter().zip(&values).map(|(a, b)| a - b));
            let size = norm(&mut values.iter().copied());
            // A key's bias has a gradient of zero but for rounding.
            let bound = if name.ends_with("k_lin.bias") || name.ends_with("key.bias") {
                1e-6
            } else {
                1e-5 * size
            };
            assert!(distance <= bound, "{kind}: {name} {distance:e} of {size:e}");
        }
    }

    #[test]
    fn gradients_on_flex_are_pytorchs() {
        check_gradients("tiny-distilbert", DeviceKind::Flex);
        check_gradients("tiny-bert", DeviceKind::Flex);
        check_gradients("architectures/roberta", DeviceKind::Flex);
        check_gradients("architectures/electra", DeviceKind::Flex);
    }

    #[test]
    fn gradients_on_ndarray_are_pytorchs() {
        check_gradients("tiny-distilbert", DeviceKind::NdArray);
        check_gradients("tiny-bert", DeviceKind::NdArray);
        check_gradients("architectures/roberta", DeviceKind::NdArray);
        check_gradients("architectures/electra", DeviceKind::NdArray);
    }

    /// Several labels at once, a figure, and pairs with their kinds of tokens.
    #[test]
    fn gradients_of_other_tasks_are_pytorchs() {
        for kind in [DeviceKind::Flex, DeviceKind::NdArray] {
            ["multi", "regression", "pairs", "one"]
                .into_iter()
                .for_each(|name| check_task(name, kind));
        }
    }
}
