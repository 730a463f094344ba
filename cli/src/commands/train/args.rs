//! What is to be trained, on what, and how.

use std::path::PathBuf;

use trainer::{ClassWeights, DeviceKind, Task, TrainConfig};

use crate::network::Network;
use crate::steps::dataset::DatasetArgs;

/// Fine-tune a classifier on labelled text
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The checkpoint (BERT, RoBERTa and more): a folder with the hub's file names, a folder with a
    /// Kitfile, or a ModelKit (pulled when it is not local)
    #[arg(long, value_name = "REF|DIR")]
    pub(super) model: String,
    /// JSON ({"samples": [{"text", "label"}]}, or a list), JSON lines, CSV or TSV; several files
    /// (repeatable) are one dataset. Of a folder those are meant whose names say `train`, and to
    /// measure on, those that say `validation`
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub(super) dataset: Vec<PathBuf>,
    /// A dataset to measure each epoch on, in place of held-out examples (repeatable)
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "validation_fraction")]
    pub(super) validation: Vec<PathBuf>,
    /// What is learned: one right label of each text (single-label), some at once (multi-label), or
    /// a figure (regression) [default: what the dataset has lists or several columns for, else what
    /// the checkpoint was trained for, else single-label]
    #[arg(long, value_name = "TASK", value_parser = task)]
    pub(super) task: Option<Task>,
    /// The fine-tuned model's folder; one that is there is replaced at the end
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Everything that led to the model, as JSON, and as a page of the same name with .html; beside
    /// the model and not in it, because it tells times [default: OUTPUT-report.json]
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// The Kitfile whose model section is brought up to date; written when it is not there
    /// [default: Kitfile beside OUTPUT]
    #[arg(long, value_name = "FILE", conflicts_with = "no_kitfile")]
    pub(super) kitfile: Option<PathBuf>,
    /// Leave the Kitfile alone
    #[arg(long)]
    pub(super) no_kitfile: bool,
    /// Go on with a training of the same OUTPUT that was interrupted
    #[arg(long)]
    pub(super) resume: bool,
    /// Keep the state of the training every so many steps; after each epoch it is kept in any case
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(super) keep_every: usize,
    /// Keep the state of every link of the training record in DIR for good: `verify --audit` begins
    /// with them. Each is three times as large as the weights
    #[arg(long, value_name = "DIR")]
    pub(super) keep_states: Option<PathBuf>,
    #[command(flatten)]
    pub(super) reading: DatasetArgs,
    #[command(flatten)]
    pub(super) options: Options,
    #[command(flatten)]
    pub(super) network: Network,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Training")]
pub(super) struct Options {
    /// Passes over the training examples
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(super) epochs: usize,
    /// Texts that go through the network together
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(super) batch_size: usize,
    /// Batches whose gradients make one step
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) accumulation: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 5e-5, value_name = "X")]
    pub(super) learning_rate: f64,
    /// Share of the steps in which the learning rate rises
    #[arg(long, default_value_t = 0.1, value_name = "X")]
    pub(super) warmup: f64,
    /// Decoupled weight decay; biases and LayerNorm have none
    #[arg(long, default_value_t = 0.01, value_name = "X")]
    pub(super) weight_decay: f64,
    /// Norm that gradients are clipped to
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub(super) max_grad_norm: f64,
    /// Share of each label's probability that is spread over all labels
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(super) label_smoothing: f64,
    /// How much each label counts: equal, balanced, or numbers in the order of the labels (1,2.5);
    /// where several may be right, how much the examples count that have it
    #[arg(long, default_value = "equal", value_name = "WEIGHTS", value_parser = class_weights)]
    pub(super) class_weights: ClassWeights,
    /// Dropout everywhere [default: the checkpoint's own]
    #[arg(long, value_name = "X")]
    pub(super) dropout: Option<f64>,
    /// End after so many epochs without a better one
    #[arg(long, value_name = "N")]
    pub(super) patience: Option<usize>,
    /// Leave the embeddings and the first N layers as they are
    #[arg(long, value_name = "N")]
    pub(super) freeze_layers: Option<usize>,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(super) seed: u64,
    /// Share of the examples that is held out to measure each epoch [default: 0.2, where nothing
    /// else is there to measure on]
    #[arg(long, value_name = "X")]
    pub(super) validation_fraction: Option<f64>,
    /// Longest text in tokens while training; longer ones are cut. Measuring takes as many as the
    /// network does
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub(super) max_length: usize,
    /// Steps between two links of the training record; the last step of each epoch has one in any case
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(super) record_every: usize,
    /// Threads that compute; the model does not depend on it [default: all]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Refuse to compute other bits than this instruction set, as a report names it, would: on flex
    /// `x86-64-v3` (AVX2) and `x86-64-v4` (AVX-512) are the same
    #[arg(long, value_name = "NAME")]
    pub(super) isa: Option<String>,
    /// What computes: flex, ndarray, and in builds with these features cuda and wgpu
    #[arg(long, default_value = "flex")]
    pub(super) device: DeviceKind,
}

pub(super) fn config(options: &Options) -> TrainConfig {
    TrainConfig {
        epochs: options.epochs,
        batch_size: options.batch_size,
        accumulation: options.accumulation,
        learning_rate: options.learning_rate,
        seed: options.seed,
        weight_decay: options.weight_decay,
        warmup: options.warmup,
        max_grad_norm: options.max_grad_norm,
        label_smoothing: options.label_smoothing,
        class_weights: options.class_weights.clone(),
        patience: options.patience,
        freeze_layers: options.freeze_layers,
        max_length: options.max_length,
        dropout: options.dropout,
        record_every: options.record_every,
        threads: options.threads,
        isa: options.isa.clone(),
    }
}

/// By our names, and by those of `problem_type`.
fn task(text: &str) -> Result<Task, String> {
    match text {
        "single-label" | "single_label_classification" => Ok(Task::SingleLabel),
        "multi-label" | "multi_label_classification" => Ok(Task::MultiLabel),
        "regression" => Ok(Task::Regression),
        _ => Err("it is single-label, multi-label or regression".to_owned()),
    }
}

fn class_weights(text: &str) -> Result<ClassWeights, String> {
    match text {
        "equal" => Ok(ClassWeights::Equal),
        "balanced" => Ok(ClassWeights::Balanced),
        numbers => {
            let number = |text: &str| {
                text.trim().parse::<f64>().map_err(|error| format!("`{text}`: {error}"))
            };
            numbers.split(',').map(number).collect::<Result<_, _>>().map(ClassWeights::Given)
        }
    }
}
