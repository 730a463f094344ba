//! `kit-rs train`: labelled text and a checkpoint in; a model folder, a report, a Kitfile and a
//! model card out.

mod card;
mod places;
mod show;
mod written;

pub(super) use written::parent;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use serde_json::json;
use trainer::{ClassWeights, Classifier, Columns, Dataset, DeviceKind, Keep, Split, TrainConfig};

use crate::failure::{WithHint as _, asked_wrongly};
use crate::ui::Ui;

/// Fine-tune a classifier on labelled text
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The checkpoint (DistilBERT or BERT): a folder with the hub's file names
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// JSON ({"samples": [{"text", "label"}]}, or a list), JSON lines, CSV or TSV
    #[arg(long, value_name = "FILE")]
    dataset: PathBuf,
    /// A dataset to measure each epoch on, in place of held-out examples
    #[arg(long, value_name = "FILE", conflicts_with = "validation_fraction")]
    validation: Option<PathBuf>,
    /// Column, or key, of the text
    #[arg(long, default_value = "text", value_name = "NAME")]
    text_column: String,
    /// Column, or key, of the label
    #[arg(long, default_value = "label", value_name = "NAME")]
    label_column: String,
    /// The fine-tuned model's folder; one that is there is replaced at the end
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Everything that led to the model, as JSON, and as a page of the same name with .html; beside
    /// the model and not in it, because it tells times [default: OUTPUT-report.json]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The Kitfile whose model section is brought up to date; written when it is not there
    /// [default: Kitfile beside OUTPUT]
    #[arg(long, value_name = "FILE", conflicts_with = "no_kitfile")]
    kitfile: Option<PathBuf>,
    /// Leave the Kitfile alone
    #[arg(long)]
    no_kitfile: bool,
    /// Go on with a training of the same OUTPUT that was interrupted
    #[arg(long)]
    resume: bool,
    /// Keep the state of the training every so many steps; after each epoch it is kept in any case
    #[arg(long, default_value_t = 200, value_name = "N")]
    keep_every: usize,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Training")]
struct Options {
    /// Passes over the training examples
    #[arg(long, default_value_t = 3, value_name = "N")]
    epochs: usize,
    /// Texts that go through the network together
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch_size: usize,
    /// Batches whose gradients make one step
    #[arg(long, default_value_t = 1, value_name = "N")]
    accumulation: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 5e-5, value_name = "X")]
    learning_rate: f64,
    /// Share of the steps in which the learning rate rises
    #[arg(long, default_value_t = 0.1, value_name = "X")]
    warmup: f64,
    /// Decoupled weight decay; biases and LayerNorm have none
    #[arg(long, default_value_t = 0.01, value_name = "X")]
    weight_decay: f64,
    /// Norm that gradients are clipped to
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    max_grad_norm: f64,
    /// Share of each label's probability that is spread over all labels
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    label_smoothing: f64,
    /// How much each label counts: equal, balanced, or numbers in the order of the labels (1,2.5)
    #[arg(long, default_value = "equal", value_name = "WEIGHTS", value_parser = class_weights)]
    class_weights: ClassWeights,
    /// Dropout everywhere [default: the checkpoint's own]
    #[arg(long, value_name = "X")]
    dropout: Option<f64>,
    /// End after so many epochs without a better one
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// Leave the embeddings and the first N layers as they are
    #[arg(long, value_name = "N")]
    freeze_layers: Option<usize>,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// Share of the examples that is held out to measure each epoch
    #[arg(long, default_value_t = 0.2, value_name = "X")]
    validation_fraction: f64,
    /// Longest text in tokens while training; longer ones are cut. Measuring takes as many as the
    /// network does
    #[arg(long, default_value_t = 128, value_name = "N")]
    max_length: usize,
    /// Threads that compute; the model does not depend on it [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Refuse to compute other bits than this instruction set, as a report names it, would: on flex
    /// `x86-64-v3` (AVX2) and `x86-64-v4` (AVX-512) are the same
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
    /// What computes: flex, ndarray, and in builds with these features cuda and wgpu
    #[arg(long, default_value = "flex")]
    device: DeviceKind,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let keep =
        Keep { dir: beside(&args.output, "-state"), every: args.keep_every, resume: args.resume };
    let report_path = args.report.clone().unwrap_or_else(|| beside(&args.output, "-report.json"));
    places::check(&args, &report_path)?;
    written::check(&args)?;
    if args.keep_every == 0 {
        return Err(asked_wrongly("--keep-every is at least 1"));
    }
    if keep.is_begun() && !keep.resume {
        let refused = asked_wrongly(format!(
            "{} holds the state of a training that was interrupted",
            keep.dir.display()
        ));
        return Err(refused).hint("--resume goes on with it; remove the folder to begin anew");
    }
    let theirs = card::front_matter(&args.model)?;
    let (seed, config) = (args.options.seed, config(&args.options));
    let columns = Columns { text: args.text_column.clone(), label: args.label_column.clone() };
    let dataset = Dataset::read(&args.dataset, &columns)?;
    let loaded = Classifier::load(&args.model, args.options.device)
        .with_context(|| format!("cannot load the model in {}", args.model.display()))?;
    let known = loaded.labels().to_vec();
    let start = loaded.with_labels(dataset.labels.clone(), seed);
    if known.first().is_some_and(|label| label != "LABEL_0") && known != start.labels() {
        ui.note(format_args!(
            "the checkpoint's labels are {}: those of the dataset get a new head",
            known.join(", ")
        ));
    }
    let dataset = match dataset.examples.is_empty() {
        true => return Err(trainer::Error::NoExamples.into()),
        false => dataset.aligned_to(start.labels())?,
    };
    let split = match &args.validation {
        Some(path) => {
            let validation = Dataset::read(path, &columns)?.aligned_to(start.labels())?;
            Split { train: dataset.examples, validation: validation.examples }
        }
        None => dataset.split(args.options.validation_fraction, seed).map_err(of_option)?,
    };
    let show = show::Show::new(ui);
    ui.note(labels_of(&split, start.labels()));
    let learned: HashSet<&str> = split.train.iter().map(|example| example.text.as_str()).collect();
    let n_known =
        split.validation.iter().filter(|example| learned.contains(example.text.as_str())).count();
    if n_known > 0 {
        ui.warn(format_args!(
            "{n_known} of the {} held-out texts are learned from too",
            split.validation.len()
        ));
    }
    if keep.resume && !keep.is_begun() {
        ui.note(format_args!("{} holds no state: this is the beginning", keep.dir.display()));
    }
    let trained = trainer::train(start, &split, &config, Some(&keep), &|event| show.event(event));
    show.end();
    let (classifier, report) = match trained {
        Err(error @ trainer::Error::Cancelled) => {
            Err(error).hint("the same command with --resume goes on with it")?
        }
        other => other.map_err(of_option)?,
    };
    classifier.save(&args.output, Some(&card::text(&theirs, &report)))?;
    let page_path = report_path.with_extension("html");
    fs::write(&report_path, report.to_json())?;
    fs::write(&page_path, report.to_html())?;
    ui.note(format_args!("report: {} and {}", report_path.display(), page_path.display()));
    let kitfile = match args.no_kitfile {
        true => None,
        false => Some(written::write(&args, &theirs, &report, ui)?),
    };
    // Last, so that what failed before can be done again without the training.
    keep.remove()?;
    let best = report.best();
    let text = format!(
        "{}  accuracy {:.4}  macro F1 {:.4}",
        args.output.display(),
        best.accuracy,
        best.macro_f1
    );
    let document = json!({
        "output": args.output, "report_file": report_path, "page": page_path, "kitfile": kitfile, "report": report,
    });
    ui.answer(text, &document)
}

/// An option that cannot be was asked for wrongly.
fn of_option(error: trainer::Error) -> anyhow::Error {
    match error {
        trainer::Error::TrainOption { option, problem } => {
            asked_wrongly(format!("--{}: {problem}", option.replace('_', "-")))
        }
        trainer::Error::InstructionSet { .. } => asked_wrongly(format!("--isa: {error}")),
        other => other.into(),
    }
}

/// Which labels there are, and how often.
fn labels_of(split: &Split, labels: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut counts = vec![0_usize; labels.len()];
    split.train.iter().chain(&split.validation).for_each(|example| counts[example.label] += 1);
    let shown =
        labels.iter().zip(counts).take(SHOWN).map(|(label, count)| format!("{label} ({count})"));
    let more = if labels.len() > SHOWN { ", …" } else { "" };
    format!("{} labels: {}{more}", labels.len(), shown.collect::<Vec<_>>().join(", "))
}

fn config(options: &Options) -> TrainConfig {
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
        threads: options.threads,
        isa: options.isa.clone(),
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

/// `fine_tuned_model` → `fine_tuned_model-report.json`.
fn beside(output: &Path, end: &str) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(end);
    output.with_file_name(name)
}
