//! `kit-rs train`: labelled text and a checkpoint in; a model folder, a report, a Kitfile and a
//! model card out.

mod args;
mod base;
mod card;
mod data;
mod day;
mod places;
mod provenance;
mod show;
mod written;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use modelkit::{Existing, Unfinished};
use serde_json::json;
use trainer::{About, Classifier, Dataset, Keep, Report, Split, Task, TrainConfig};

pub(crate) use self::args::Args;
use self::args::config;
use self::base::Base;
use self::provenance::Places;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::steps::dataset::{shown, some, tell_labels};
use crate::steps::splits;
use crate::ui::Ui;

/// The share of examples to measure on, where nobody asks for another.
const HELD_OUT: f64 = 0.2;
/// A training whose loss is so many times that of guessing has not learned.
const DIVERGED: f64 = 2.0;

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let keep = Keep { dir: state_of(&args.output), every: args.keep_every, resume: args.resume };
    let report_path = args.report.clone().unwrap_or_else(|| beside(&args.output, "-report.json"));
    let provenance = Places::of(&args);
    places::check(&args, &[&report_path, &provenance.provenance, &provenance.bom])?;
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
    let base = Base::find(&args.model, &args.network, ui)?;
    let (seed, config) = (args.options.seed, config(&args.options));
    let loaded = base.load(args.options.device)?;
    let files = splits::files(&args.dataset, splits::Split::Train)?;
    let task = task(&args, &loaded);
    let dataset = args.reading.read(&files, task, ui)?;
    let known = Known { labels: loaded.labels().to_vec(), task: loaded.task() };
    if task != args.task {
        ui.note(format_args!(
            "learning {}, as the checkpoint was trained for: --task says otherwise",
            dataset.task.name()
        ));
    }
    let start = loaded.with_task(dataset.task, dataset.labels.clone(), seed);
    tell_head(&dataset, &known, start.labels(), ui)?;
    let mut n_skipped = dataset.skipped.len();
    let held_out = held_out(&args)?;
    let split = if held_out.is_empty() {
        dataset
            .aligned_to(start.labels())?
            .split(args.options.validation_fraction.unwrap_or(HELD_OUT), seed)
            .map_err(of_option)?
    } else {
        let validation = args.reading.read(&held_out, Some(dataset.task), ui)?;
        n_skipped += validation.skipped.len();
        if validation.is_matched_by_place(&dataset.labels) {
            return Err(asked_wrongly(format!(
                "the labels of {} are numbers, and those of {} are names",
                splits::shown(&held_out),
                splits::shown(&files)
            )));
        }
        // A number means there what it means here.
        let validation = match dataset.is_matched_by_place(start.labels()) {
            true => validation.aligned_to(&dataset.labels)?,
            false => validation,
        };
        let validation = validation.aligned_to(start.labels())?.examples;
        Split { train: dataset.aligned_to(start.labels())?.examples, validation }
    };
    if config.max_length > start.max_tokens()
        && config.max_length != TrainConfig::default().max_length
    {
        ui.warn(format_args!(
            "--max-length {}: the network takes {} tokens, and longer texts are cut there",
            config.max_length,
            start.max_tokens()
        ));
    }
    let show = show::Show::new(ui);
    data::tell(&split, &start, &config.class_weights, ui);
    ui.no_warnings()?;
    if keep.resume && !keep.is_begun() {
        ui.note(format_args!("{} holds no state: this is the beginning", keep.dir.display()));
    }
    let trained = trainer::train(start, &split, &config, Some(&keep), &|event| show.event(event));
    show.end();
    let (classifier, mut report) = match trained {
        Err(error @ trainer::Error::Cancelled) => {
            Err(error).hint("the same command with --resume goes on with it")?
        }
        Err(error @ trainer::Error::Diverged { .. }) => {
            // From the state that is kept it would diverge again, and nothing else may use it.
            keep.remove()?;
            return Err(error.into());
        }
        other => other.map_err(of_option)?,
    };
    warn_of_divergence(&report, ui);
    report.about = Some(about(&args)?);
    let page_path = report_path.with_extension("html");
    // Each of what follows is whole or as before; all together they are not, when it is killed.
    let unfinished = Unfinished::begin(&keep.dir)?;
    classifier.save(&args.output, Some(&card::text(&base.card, &report)))?;
    modelkit::write_file(&report_path, report.to_json().as_bytes(), Existing::Replace)?;
    modelkit::write_file(&page_path, report.to_html().as_bytes(), Existing::Replace)?;
    ui.note(format_args!("report: {} and {}", report_path.display(), page_path.display()));
    provenance.write(&args, &base, &report)?;
    let Places { provenance, bom } = provenance;
    ui.note(format_args!("provenance: {} and {}", provenance.display(), bom.display()));
    let kitfile = match args.no_kitfile {
        true => None,
        false => Some(written::write(&args, &base, &report, ui)?),
    };
    unfinished.end()?;
    // Last, so that what failed before can be done again without the training.
    keep.remove()?;
    let figures: String = report
        .best()
        .figures()
        .iter()
        .map(|(name, value)| format!("  {name} {value:.4}"))
        .collect();
    let text = format!("{}{figures}", args.output.display());
    let document = json!({
        "output": args.output, "report_file": report_path, "page": page_path, "kitfile": kitfile, "report": report,
        "provenance": provenance, "bom": bom,
        "n_skipped": n_skipped,
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

/// What is learned, where that is said, or where the checkpoint says it. What has a single logit and
/// no `problem_type` says nothing: it may be made anew for any labels.
fn task(args: &Args, loaded: &Classifier) -> Option<Task> {
    let is_said = loaded.labels().len() > 1 || loaded.task() == Task::Regression;
    let of_checkpoint = (is_said && loaded.task() != Task::SingleLabel).then(|| loaded.task());
    args.task.or(of_checkpoint)
}

/// The files to measure on: those that are named, or those of the folder of the dataset, where no
/// share was asked for.
fn held_out(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    if !args.validation.is_empty() {
        return splits::files(&args.validation, splits::Split::Validation);
    }
    let mut found = Vec::new();
    if args.options.validation_fraction.is_none() {
        for folder in args.dataset.iter().filter(|path| path.is_dir()) {
            found.extend(splits::of_folder(folder, splits::Split::Validation)?);
        }
    }
    Ok(found)
}

/// What a checkpoint was trained for.
struct Known {
    labels: Vec<String>,
    task: Task,
}

/// Says which of the checkpoint's labels the dataset's are, or that they get a new head.
fn tell_head(dataset: &Dataset, known: &Known, now: &[String], ui: &Ui) -> anyhow::Result<()> {
    let Known { labels, task } = known;
    let is_one_logit = labels.len() == 1 && now.len() == 1 && dataset.task != Task::SingleLabel;
    if labels == now && (*task == dataset.task || is_one_logit) {
        return tell_labels(dataset, labels, ui);
    }
    let is_named = *task == dataset.task
        && labels.len() == now.len()
        && labels.first().is_some_and(|label| label == "LABEL_0");
    match &labels[..] {
        [] => (),
        _ if is_named => ui.note(format_args!(
            "the checkpoint's labels have no names: they get those of the dataset, LABEL_0 = {} and so on",
            shown(&now[0])
        )),
        _ if *task != dataset.task => ui.note(format_args!(
            "the checkpoint was trained for {}: what is learned gets a new head",
            task.name()
        )),
        _ => ui.note(format_args!(
            "the checkpoint's labels are {}: those of the dataset get a new head",
            some(labels.iter().map(|label| shown(label)))
        )),
    }
    Ok(())
}

/// What the user calls it all.
fn about(args: &Args) -> anyhow::Result<About> {
    let path = |path: &Path| path.display().to_string();
    Ok(About {
        model: path(&args.output),
        checkpoint: args.model.clone(),
        dataset: splits::shown(&args.dataset),
        validation: (!args.validation.is_empty()).then(|| splits::shown(&args.validation)),
        day: day::today()?,
    })
}

/// A loss above that of guessing says that nothing was learned, however finite it is.
fn warn_of_divergence(report: &Report, ui: &Ui) {
    let guessing = report.loss_of_guessing();
    let loss = report.epochs.last().map_or(0.0, |epoch| epoch.train_loss);
    if loss > DIVERGED * guessing {
        ui.warn(format_args!(
            "the training has diverged: the last epoch's loss is {loss:.4}, and that of guessing {guessing:.4}; try a smaller --learning-rate"
        ));
    }
}

/// `fine_tuned_model` → `fine_tuned_model-report.json`.
fn beside(output: &Path, end: &str) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(end);
    output.with_file_name(name)
}

/// `fine_tuned_model` → `.kit-rs-state-fine_tuned_model`: by its name nobody packs it.
fn state_of(output: &Path) -> PathBuf {
    let mut name = OsString::from(".kit-rs-state-");
    name.push(output.file_name().unwrap_or_default());
    output.with_file_name(name)
}
