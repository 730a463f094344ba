//! `kit-rs evaluate`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use fs_err as fs;
use serde::Serialize;
use serde_json::json;
use trainer::{Classifier, Dataset, DeviceKind, Evaluation};

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::steps::dataset::{DatasetArgs, tell_labels};
use crate::steps::model;
use crate::steps::project::parent;
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// Measure a classifier on a labelled dataset
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model folder, a folder with a Kitfile, or a ModelKit (pulled when it is not local)
    #[arg(value_name = "MODEL")]
    model: String,
    /// JSON, JSON lines, CSV or TSV, as `train` takes it
    dataset: PathBuf,
    /// What computes: flex, ndarray, and in builds with these features cuda and wgpu
    #[arg(long, default_value = "flex")]
    device: DeviceKind,
    /// Write token ids, logits and given label of each text to FILE, as JSON lines
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Fail (exit code 1) below this accuracy, from 0 to 1
    #[arg(long, value_name = "X")]
    min_accuracy: Option<f64>,
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
    let classifier =
        Classifier::load(&source.dir, args.device).map_err(|error| source.unusable(error))?;
    let dataset = args.reading.read(&args.dataset, ui)?;
    tell_labels(&dataset, classifier.labels(), ui)?;
    let n_skipped = dataset.skipped.len();
    let dataset = dataset.aligned_to(classifier.labels())?;
    let bar = ui.steps_bar("evaluating", dataset.examples.len() as u64);
    let (evaluation, logits) = trainer::evaluate(&classifier, &dataset.examples, &|n_done| {
        bar.set_position(n_done as u64);
        ui.interrupt().flow()
    })?;
    bar.finish_and_clear();
    if evaluation.n_cut > 0 {
        ui.warn(format_args!(
            "{} of the {} texts are longer than the {} tokens that the network takes, and are cut",
            evaluation.n_cut,
            evaluation.n_examples,
            classifier.max_tokens()
        ));
    }
    if let Some(path) = &args.predictions {
        write_predictions(path, &classifier, &dataset, logits)?;
    }
    let (accuracy, f1) = (evaluation.accuracy, evaluation.macro_f1);
    let n = dataset.examples.len();
    ui.answer(
        format_args!("accuracy {accuracy:.4}  macro F1 {f1:.4}  on {n} examples"),
        &Answer { evaluation, n_skipped },
    )?;
    if let Some(least) = args.min_accuracy {
        ensure!(accuracy >= least, "accuracy {accuracy:.4} is below the {least} asked for");
    }
    Ok(())
}

fn write_predictions(
    path: &Path,
    classifier: &Classifier,
    dataset: &Dataset,
    logits: Vec<Vec<f32>>,
) -> anyhow::Result<()> {
    let texts: Vec<&str> = dataset.examples.iter().map(|example| example.text.as_str()).collect();
    let ids = classifier.tokenize(&texts)?;
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    for ((text, ids), logits) in texts.iter().zip(ids).zip(logits) {
        let best =
            (1..logits.len()).fold(0, |best, n| if logits[n] > logits[best] { n } else { best });
        let label = &classifier.labels()[best];
        let line = json!({ "text": text, "label": label, "logits": logits, "input_ids": ids });
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}
