//! Held to PyTorch: the figures were made by `make.py` beside each checkpoint.

use std::path::Path;

use kit_trainer::{Classifier, DeviceKind, Example, Split, TrainConfig, train};
use serde::Deserialize;

use crate::fixture::{floats, go_on, read_tensors, with_training};

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    logits: Vec<Vec<f32>>,
    training: Training,
}

/// Ten steps of AdamW on one batch.
#[derive(Deserialize)]
struct Training {
    texts: Vec<String>,
    labels: Vec<usize>,
    learning_rate: f64,
    weight_decay: f64,
    n_steps: usize,
    warmup_steps: usize,
    max_grad_norm: f64,
    losses: Vec<f64>,
}

fn golden(fixture: &Path) -> Golden {
    let text = fs_err::read_to_string(fixture.join("golden.json")).expect("readable");
    serde_json::from_str(&text).expect("golden.json")
}

fn load(fixture: &Path, device: DeviceKind) -> Classifier {
    Classifier::load(fixture, device).expect("the tiny checkpoint loads")
}

fn check_logits(fixture: &Path, device: DeviceKind) {
    let golden = golden(fixture);
    let logits = load(fixture, device).classify(&golden.texts).expect("classified");
    let pairs = logits.iter().flatten().zip(golden.logits.iter().flatten());
    let largest = pairs.map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    assert_eq!(logits.len(), golden.logits.len());
    assert!(largest <= 2e-6, "{device}: {largest:e}");
}

#[test]
fn logits_on_flex_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_logits(fixture, DeviceKind::Flex));
}

#[test]
fn logits_on_ndarray_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_logits(fixture, DeviceKind::NdArray));
}

/// On whatever card the machine has; Mesa's llvmpipe will do.
#[cfg(feature = "wgpu")]
#[test]
fn logits_on_wgpu_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_logits(fixture, DeviceKind::Wgpu));
}

#[cfg(feature = "cuda")]
#[test]
fn logits_on_cuda_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_logits(fixture, DeviceKind::Cuda));
}

/// All texts are one batch, so that an epoch is a step.
fn ten_steps(fixture: &Path, device: DeviceKind) -> (Classifier, Vec<f32>) {
    let Training { texts, labels, n_steps, warmup_steps, .. } = golden(fixture).training;
    let examples =
        texts.into_iter().zip(labels).map(|(text, label)| Example::labelled(text, label));
    let data = Split { train: examples.collect(), validation: Vec::new() };
    let training = golden(fixture).training;
    let config = TrainConfig {
        epochs: n_steps,
        batch_size: data.train.len(),
        learning_rate: training.learning_rate,
        weight_decay: training.weight_decay,
        warmup: warmup_steps as f64 / n_steps as f64,
        max_grad_norm: training.max_grad_norm,
        dropout: Some(0.0),
        ..TrainConfig::default()
    };
    let (trained, report) =
        train(load(fixture, device), &data, &config, None, &go_on).expect("trained");
    assert_eq!(report.best_epoch, n_steps, "the weights are those of the last step");
    (trained, report.losses)
}

fn check_training(fixture: &Path, device: DeviceKind) {
    let (trained, losses) = ten_steps(fixture, device);
    for (ours, theirs) in losses.iter().zip(golden(fixture).training.losses) {
        assert!((f64::from(*ours) - theirs).abs() <= 1e-6 * theirs, "{device}: {ours} {theirs}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    trained.save(folder.path(), None).expect("saved");
    let ours = read_tensors(&folder.path().join("model.safetensors"));
    let theirs = read_tensors(&fixture.join("golden-after.safetensors"));
    assert!(ours.keys().eq(theirs.keys()));
    for (name, (_, shape, bytes)) in &ours {
        let (_, their_shape, their_bytes) = &theirs[name];
        assert_eq!(shape, their_shape, "{name}");
        let distance = distance(&floats(bytes), &floats(their_bytes));
        // Softmax does not feel a shift of all scores, so the gradient of a key's bias is zero but
        // for rounding, and Adam makes whole steps of rounding errors: in PyTorch as here.
        let bound =
            if name.ends_with("k_lin.bias") || name.ends_with("key.bias") { 1e-2 } else { 1e-5 };
        assert!(distance <= bound, "{device}: {name} {distance:e}");
    }
}

#[test]
fn weights_after_ten_steps_on_flex_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_training(fixture, DeviceKind::Flex));
}

#[test]
fn weights_after_ten_steps_on_ndarray_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_training(fixture, DeviceKind::NdArray));
}

#[cfg(feature = "wgpu")]
#[test]
fn weights_after_ten_steps_on_wgpu_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_training(fixture, DeviceKind::Wgpu));
}

#[cfg(feature = "cuda")]
#[test]
fn weights_after_ten_steps_on_cuda_are_pytorchs() {
    with_training().iter().for_each(|fixture| check_training(fixture, DeviceKind::Cuda));
}

/// The norm of the difference over the norm.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut theirs.iter().map(|v| f64::from(*v)))
}
