use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use trainer::{Classifier, Dataset, DeviceKind};

use crate::network::Network;
use crate::ui::Ui;

/// Measure a classifier on a labelled dataset
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model folder, a folder with a Kitfile, or a ModelKit (pulled when it is not local)
    #[arg(value_name = "MODEL")]
    model: String,
    /// JSON or JSON lines with `text` and `label`
    dataset: PathBuf,
    /// What computes: flex or ndarray
    #[arg(long, default_value = "flex")]
    device: DeviceKind,
    /// Fail (exit code 1) below this accuracy, from 0 to 1
    #[arg(long, value_name = "X")]
    min_accuracy: Option<f64>,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let source = super::source::open(&args.model, &args.network, ui)?;
    let classifier = Classifier::load(&source.dir, args.device)
        .with_context(|| format!("cannot load the model in {}", source.dir.display()))?;
    let dataset = Dataset::read(&args.dataset)?.aligned_to(classifier.labels())?;
    let evaluation = trainer::evaluate(&classifier, &dataset.examples)?;
    let (accuracy, f1) = (evaluation.accuracy, evaluation.macro_f1);
    let n = dataset.examples.len();
    ui.answer(format_args!("accuracy {accuracy:.4}  macro F1 {f1:.4}  on {n} examples"), &evaluation)?;
    if let Some(least) = args.min_accuracy {
        ensure!(accuracy >= least, "accuracy {accuracy:.4} is below the {least} asked for");
    }
    Ok(())
}
