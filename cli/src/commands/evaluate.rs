//! `kit-rs evaluate`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use fs_err as fs;
use registry::Reference;
use serde::Serialize;
use serde_json::{Value, json};
use trainer::{Classifier, Dataset, DeviceKind, Doubles, Encoded, Evaluation, Scores, Task};
use trust::EVALUATION;

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::steps::attesting::attest;
use crate::steps::dataset::{DatasetArgs, tell_doubles, tell_labels};
use crate::steps::keys::PasswordArgs;
use crate::steps::model;
use crate::steps::project::parent;
use crate::steps::splits::{self, Split};
use crate::steps::trusted::Trusted;
use crate::steps::windows::WindowArgs;
use crate::ui::Ui;

/// Measure a classifier on a labelled dataset
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model folder, a folder with a Kitfile, or a ModelKit (pulled when it is not local)
    #[arg(value_name = "MODEL")]
    model: String,
    /// JSON, JSON lines, CSV or TSV, as `train` takes it; several files are one dataset, and of a
    /// folder those are meant whose names say `test`
    #[arg(required = true)]
    dataset: Vec<PathBuf>,
    /// What computes: flex, ndarray, and in builds with these features cuda and wgpu
    #[arg(long, default_value = "flex")]
    device: DeviceKind,
    /// Write token ids, logits and given label of each text to FILE, as JSON lines
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Fail (exit code 1) below this accuracy, from 0 to 1; where several labels may be right, the
    /// share of texts that are given all of theirs and no others
    #[arg(long, value_name = "X")]
    min_accuracy: Option<f64>,
    /// Fail (exit code 1) above this root mean squared error, of a model whose answer is a figure
    #[arg(long, value_name = "X", conflicts_with = "min_accuracy")]
    max_rmse: Option<f64>,
    /// Say in the registry what was measured, of the digest that it was measured on, signed with this
    /// private key (PEM); `verify --type` and `lineage` show it
    #[arg(long, value_name = "FILE")]
    attest: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    reading: DatasetArgs,
    #[command(flatten)]
    network: Network,
}

/// As JSON.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Rows of the dataset that were left out.
    n_skipped: usize,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if args.min_accuracy.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
        return Err(asked_wrongly("--min-accuracy is from 0 to 1"));
    }
    if let Some(path) =
        args.predictions.as_ref().filter(|path| path.is_dir() || !parent(path).is_dir())
    {
        return Err(asked_wrongly(format!("{} is no place for a file", path.display())));
    }
    let source = model::open(&args.model, &Trusted::ambient(ui)?, &args.network, ui)?;
    let attested = args.attest.as_ref().map(|key| {
        let named = source.reference.as_deref().zip(source.digest.as_deref());
        let pinned = named.and_then(|(reference, digest)| pinned(reference, digest));
        let pinned = pinned.ok_or_else(|| {
            asked_wrongly(
                "--attest is for a ModelKit in a registry: name it as HOST/REPOSITORY:TAG",
            )
        })?;
        anyhow::Ok((pinned, args.password.private_key(key, ui)?))
    });
    let attested = attested.transpose()?;
    let classifier =
        Classifier::load(&source.dir, args.device).map_err(|error| source.unusable(error))?;
    let classifier = match args.windows.asked() {
        Some(windows) => classifier.with_windows(windows)?,
        None => classifier,
    };
    check_bounds(&args, classifier.task())?;
    let files = splits::files(&args.dataset, Split::Test)?;
    let task = (!classifier.labels().is_empty()).then(|| classifier.task());
    let dataset = args.reading.read(&files, task, ui)?;
    tell_labels(&dataset, classifier.labels(), ui)?;
    let n_skipped = dataset.skipped.len();
    let dataset = dataset.aligned_to(classifier.labels())?;
    tell_doubles(&Doubles::of(&dataset.examples), ui);
    let bar = ui.steps_bar("evaluating", dataset.examples.len() as u64);
    let (evaluation, logits) = trainer::evaluate(&classifier, &dataset.examples, &|n_done| {
        bar.set_position(n_done as u64);
        ui.interrupt().flow()
    })?;
    bar.finish_and_clear();
    if evaluation.n_cut > 0 {
        let takes = match args.windows.windows {
            Some(most) => format!("{most} windows hold"),
            None => format!("the {} tokens that the network takes", classifier.max_tokens()),
        };
        ui.warn(format_args!(
            "{} of the {} texts are longer than {takes}, and are cut",
            evaluation.n_cut, evaluation.n_examples
        ));
    }
    if let Some(path) = &args.predictions {
        write_predictions(path, &classifier, &dataset, logits)?;
    }
    let figures: Vec<String> =
        evaluation.figures().iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    let (accuracy, n) = (evaluation.accuracy(), evaluation.n_examples);
    let rmse = match &evaluation.scores {
        Scores::Regression(regression) => Some(regression.rmse),
        _ => None,
    };
    let said = statement(&evaluation, &dataset, n_skipped, args.device);
    ui.answer(
        format_args!("{}  on {n} examples", figures.join("  ")),
        &Answer { evaluation, n_skipped },
    )?;
    if let Some((least, accuracy)) = args.min_accuracy.zip(accuracy) {
        ensure!(accuracy >= least, "accuracy {accuracy:.4} is below the {least} asked for");
    }
    if let Some((most, rmse)) = args.max_rmse.zip(rmse) {
        ensure!(rmse <= most, "the error {rmse:.4} is above the {most} asked for");
    }
    // What falls short of what was asked for is not recommended to anybody.
    if let Some((reference, key)) = attested {
        attest(&args.network.client(ui)?, &reference, &key, (EVALUATION, said), ui)?;
    }
    Ok(())
}

/// A reference that names a registry, with the digest of what was measured.
fn pinned(reference: &str, digest: &str) -> Option<Reference> {
    let reference: Reference = reference.parse().ok()?;
    let digest = digest.parse().ok()?;
    (!reference.is_local()).then(|| reference.with_digest(digest))
}

/// What is said of a ModelKit that was measured. It tells no texts.
fn statement(
    evaluation: &Evaluation,
    dataset: &Dataset,
    n_skipped: usize,
    device: DeviceKind,
) -> Value {
    json!({
        "task": dataset.task.name(),
        "metrics": evaluation.metrics(),
        "loss": evaluation.loss,
        "dataset": {
            "digest": dataset.digest(), "examples": evaluation.n_examples, "skipped": n_skipped,
            "cut": evaluation.n_cut,
        },
        "evaluator": { "name": "kit-rs", "version": env!("CARGO_PKG_VERSION"), "device": device },
    })
}

/// A bound of something that is not measured would always hold.
fn check_bounds(args: &Args, task: Task) -> anyhow::Result<()> {
    let is_figure = task == Task::Regression;
    if is_figure && args.min_accuracy.is_some() {
        return Err(asked_wrongly("--min-accuracy: the model answers a figure; say --max-rmse"));
    }
    if !is_figure && args.max_rmse.is_some() {
        return Err(asked_wrongly("--max-rmse: the model answers labels; say --min-accuracy"));
    }
    Ok(())
}

fn write_predictions(
    path: &Path,
    classifier: &Classifier,
    dataset: &Dataset,
    logits: Vec<Vec<f32>>,
) -> anyhow::Result<()> {
    let sequences = classifier.encode(&dataset.examples)?;
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    for ((example, sequences), logits) in dataset.examples.iter().zip(sequences).zip(logits) {
        let mut line = json!({ "text": example.text, "logits": logits });
        if let Some(pair) = &example.pair {
            line["text_pair"] = json!(pair);
        }
        let [first, others @ ..] = &sequences[..] else { continue };
        line["input_ids"] = json!(first.ids);
        if !first.kinds.is_empty() {
            line["token_type_ids"] = json!(first.kinds);
        }
        if !others.is_empty() {
            let ids = |window: &Encoded| json!(window.ids);
            line["windows"] = sequences.iter().map(ids).collect();
        }
        let given = given(classifier, &logits);
        match classifier.task() {
            Task::SingleLabel => line["label"] = json!(given.first()),
            Task::MultiLabel => line["labels"] = json!(given),
            Task::Regression => line["value"] = json!(logits.first()),
        }
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

/// The labels that a text is given.
fn given<'a>(classifier: &'a Classifier, logits: &[f32]) -> Vec<&'a str> {
    let given = classifier.given(logits);
    given.into_iter().map(|label| classifier.labels()[label].as_str()).collect()
}
