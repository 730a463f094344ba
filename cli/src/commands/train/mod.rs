//! `kit-rs train`: labelled text and a checkpoint in; a model folder, a report, a Kitfile and a
//! model card out.

mod args;
mod card;
mod places;
mod show;
mod written;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use serde_json::json;
use trainer::{Classifier, Columns, Dataset, Keep, Split};

pub(crate) use self::args::Args;
use self::args::config;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::ui::Ui;

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
    ui.no_warnings()?;
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

/// `fine_tuned_model` → `fine_tuned_model-report.json`.
fn beside(output: &Path, end: &str) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(end);
    output.with_file_name(name)
}
