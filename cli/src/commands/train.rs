use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use serde_json::json;
use trainer::{Classifier, Dataset, DeviceKind, Event, TrainConfig};

use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// Fine-tune a classifier on labelled text
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The checkpoint: a folder with the hub's file names
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// JSON ({"samples": [{"text", "label"}]}, or a list) or JSON lines
    #[arg(long, value_name = "FILE")]
    dataset: PathBuf,
    /// The fine-tuned model's folder; one that is there is replaced at the end
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Everything that led to the model, as JSON; beside the model and not in it, because it tells times [default: OUTPUT-report.json]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Passes over the training examples
    #[arg(long, default_value_t = 3, value_name = "N")]
    epochs: usize,
    /// Texts in a step
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch_size: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 5e-5, value_name = "X")]
    learning_rate: f64,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// Share of the examples that is held out to measure each epoch
    #[arg(long, default_value_t = 0.2, value_name = "X")]
    validation_fraction: f64,
    /// Longest text in tokens; longer ones are cut
    #[arg(long, default_value_t = 128, value_name = "N")]
    max_length: usize,
    /// What computes: flex or ndarray
    #[arg(long, default_value = "flex")]
    device: DeviceKind,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if args.output.exists() && !args.output.is_dir() {
        return Err(asked_wrongly(format!("{} is there and is not a folder", args.output.display())));
    }
    let dataset = Dataset::read(&args.dataset)?;
    let start = Classifier::load(&args.model, args.device)
        .with_context(|| format!("cannot load the model in {}", args.model.display()))?
        .with_labels(dataset.labels.clone(), args.seed);
    let split = dataset.split(args.validation_fraction, args.seed);
    let config = TrainConfig {
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        seed: args.seed,
        max_length: args.max_length,
        ..TrainConfig::default()
    };
    let mut show = Show::new(ui);
    let (classifier, report) = trainer::train(start, &split, &config, &mut |event| show.event(event))?;
    save(&classifier, &args.output)?;
    let report_path = args.report.unwrap_or_else(|| beside(&args.output));
    fs::write(&report_path, report.to_json())?;
    ui.note(format_args!("report: {}", report_path.display()));
    let best = report.best();
    let text = format!("{}  accuracy {:.4}  macro F1 {:.4}", args.output.display(), best.accuracy, best.macro_f1);
    ui.answer(text, &json!({ "output": args.output, "report_file": report_path, "report": report }))
}

/// Writes the model beside its place, and moves it there when it is whole.
fn save(classifier: &Classifier, output: &Path) -> anyhow::Result<()> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let fresh = tempfile::Builder::new().prefix(".training-").tempdir_in(parent)?;
    let model = fresh.path().join("model");
    classifier.save(&model)?;
    if output.exists() {
        fs::rename(output, fresh.path().join("replaced"))?;
    }
    fs::rename(&model, output)?;
    Ok(())
}

/// `fine_tuned_model` → `fine_tuned_model-report.json`.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push("-report.json");
    output.with_file_name(name)
}

/// Shows how training goes: a bar on a terminal, a line for each epoch.
struct Show<'a> {
    ui: &'a Ui,
    bar: Option<indicatif::ProgressBar>,
}

impl<'a> Show<'a> {
    fn new(ui: &'a Ui) -> Self {
        Self { ui, bar: None }
    }

    fn event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Step { step, n_steps, loss, examples_per_second, .. } => {
                let bar = self.bar.get_or_insert_with(|| self.ui.steps_bar("training", n_steps as u64));
                bar.set_position(step as u64);
                bar.set_message(format!("loss {loss:.4}, {examples_per_second:.0} texts/s"));
            }
            Event::Epoch { epoch, train_loss, evaluation, .. } => self.ui.note(format_args!(
                "epoch {epoch}: training loss {train_loss:.4}, held out: loss {:.4}, accuracy {:.4}, macro F1 {:.4}",
                evaluation.loss, evaluation.accuracy, evaluation.macro_f1
            )),
            _ => (),
        }
        self.ui.interrupt().flow()
    }
}
