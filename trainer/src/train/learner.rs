//! One step: forward, backward, AdamW.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::TrainConfig;
use super::adamw::{AdamW, NamedGradients, StepOptions};
use super::schedule::Schedule;
use crate::device::DeviceKind;
use crate::distilbert::{Batch, DistilBertClassifier, Dropout};
use crate::error::{Error, Result};
use crate::model_config::{ModelConfig, Network};

/// Weights that learn, and all that changes with them.
pub(super) struct Learner {
    network: DistilBertClassifier,
    optimizer: AdamW,
    /// The loss of each step so far.
    pub(super) losses: Vec<f32>,
    shape: Network,
    schedule: Schedule,
    options: StepOptions,
    seed: u64,
}

impl Learner {
    pub(super) fn new(
        network: DistilBertClassifier,
        model: ModelConfig,
        config: &TrainConfig,
        n_steps: usize,
        kind: DeviceKind,
    ) -> Self {
        let mut shape = model.network;
        if let Some(dropout) = config.dropout {
            shape.dropout = dropout;
            shape.attention_dropout = dropout;
            shape.seq_classif_dropout = dropout;
        }
        let device = kind.device().autodiff();
        Self {
            network: network.map(&mut Track(&device)),
            optimizer: AdamW::default(),
            losses: Vec::with_capacity(n_steps),
            shape,
            schedule: Schedule::new(config.learning_rate, config.warmup, n_steps),
            options: StepOptions { max_grad_norm: config.max_grad_norm, weight_decay: config.weight_decay, device },
            seed: config.seed,
        }
    }

    /// The weights as they are now, without automatic differentiation.
    pub(super) fn network(&self) -> DistilBertClassifier {
        self.network.valid()
    }

    /// The learning rate of the next step.
    pub(super) fn rate(&self) -> f64 {
        self.schedule.rate(self.losses.len())
    }

    /// Learns from some texts. Nothing of the graph outlives the step.
    pub(super) fn step(mut self, texts: &[&[u32]], labels: &[usize]) -> Result<Self> {
        let step = self.losses.len();
        let (loss, gradients) = self.gradients(texts, labels, step);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: step + 1 });
        }
        let rate = self.rate();
        self.network = self.optimizer.step(self.network, &gradients, rate, &self.options);
        self.losses.push(loss);
        Ok(self)
    }

    fn gradients(&self, texts: &[&[u32]], labels: &[usize], step: usize) -> (f32, NamedGradients) {
        let pad_token = self.shape.pad_token_id.unwrap_or(0);
        let batch = Batch::new(texts, pad_token, &self.options.device);
        let mut dropout = Dropout::of_step(self.seed, step as u64);
        let logits = self.network.forward(&batch, &self.shape, &mut dropout);
        let loss = cross_entropy(logits, labels);
        let value = loss.clone().into_scalar::<f32>();
        (value, NamedGradients::collect(&self.network, loss.backward()))
    }
}

/// The mean negative log-likelihood of the labels; `logits`: `[batch, labels]`.
fn cross_entropy(logits: Tensor<2>, labels: &[usize]) -> Tensor<1> {
    let [n_texts, n_labels] = logits.dims();
    let mut weights = vec![0.0; n_texts * n_labels];
    for (row, label) in labels.iter().enumerate() {
        weights[row * n_labels + label] = -1.0 / n_texts as f32;
    }
    let weights = TensorData::new(weights, [n_texts, n_labels]);
    let weights = Tensor::from_data(weights, &logits.device());
    (log_softmax(logits, 1) * weights).sum()
}

/// Makes every weight a leaf whose gradient is kept.
struct Track<'a>(&'a Device);

impl ModuleMapper for Track<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let data = param.into_value().without_autodiff().into_data();
        Param::from_tensor(Tensor::from_data(data, self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use safetensors::SafeTensors;
    use serde_json::Value;

    use super::*;
    use crate::classifier::Classifier;
    use crate::weights::transposed;

    /// The first step's gradients against PyTorch's, which `testdata/tiny-distilbert/make.py` wrote down.
    fn check_gradients(kind: DeviceKind) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-distilbert");
        let read = |name: &str| fs_err::read(folder.join(name)).expect("readable");
        let golden: Value = serde_json::from_slice(&read("golden.json")).expect("JSON");
        let texts: Vec<String> = serde_json::from_value(golden["training"]["texts"].clone()).expect("texts");
        let labels: Vec<usize> = serde_json::from_value(golden["training"]["labels"].clone()).expect("labels");
        let classifier = Classifier::load(&folder, kind).expect("it loads");
        let rows = classifier.tokenizer.encode(&texts).expect("tokenized");
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let config = TrainConfig { dropout: Some(0.0), ..TrainConfig::default() };
        let learner = Learner::new(classifier.network, classifier.config, &config, 10, kind);
        let (_, gradients) = learner.gradients(&rows, &labels, 0);
        let norm = golden["training"]["gradient_norms"][0].as_f64().expect("a norm");
        assert!((gradients.norm() - norm).abs() < 1e-5 * norm, "{kind}: {} {norm}", gradients.norm());

        let bytes = read("golden-gradients.safetensors");
        let theirs = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert_eq!(gradients.iter().count(), theirs.len());
        for (name, ours) in gradients.iter() {
            let tensor = theirs.tensor(name).expect("the same names");
            let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let mut values: Vec<f32> = values.collect();
            if let ([rows, columns], false) = (tensor.shape(), name.contains("embeddings")) {
                values = transposed(&values, *rows, *columns);
            }
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let distance = norm(&mut ours.iter().zip(&values).map(|(a, b)| a - b));
            let size = norm(&mut values.iter().copied());
            // A key's bias has a gradient of zero but for rounding.
            let bound = if name.ends_with("k_lin.bias") { 1e-6 } else { 1e-5 * size };
            assert!(distance <= bound, "{kind}: {name} {distance:e} of {size:e}");
        }
    }

    #[test]
    fn gradients_on_flex_are_pytorchs() {
        check_gradients(DeviceKind::Flex);
    }

    #[test]
    fn gradients_on_ndarray_are_pytorchs() {
        check_gradients(DeviceKind::NdArray);
    }
}
