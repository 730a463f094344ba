//! Whether a ModelKit's weights come out of what its training record names: derived again, all of
//! it or some segments.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use kitfile::ContextPath;
use modelkit::{ModelKit, Selection, Sources, UnpackOptions};
use registry::Reference;
use serde_json::{Value, json};
use tempfile::TempDir;
use trainer::{Classifier, DeviceKind, Difference, Event, Record, Split, Task, UnknownDevice};

use super::found::local;
use super::model::{self, ModelFolder};
use super::training::{Files, Prepared, RECORD, Recipe, prepared};
use crate::env;
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::output::n_of;
use crate::ui::Ui;

/// How a training is derived again.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Train again as the training record says, and prove that the same weights come out, or name the
    /// first step that differs
    #[arg(long, conflicts_with_all = ["key", "rebuild", "audit"])]
    pub(crate) retrain: bool,
    /// Derive only N segments of the training again, drawn with --seed, each from the state that
    /// `train --keep-states` has kept at its beginning
    #[arg(long, value_name = "N", requires = "states", conflicts_with_all = ["key", "rebuild"])]
    pub(crate) audit: Option<usize>,
    /// The folder of the states
    #[arg(long, value_name = "DIR", requires = "audit")]
    states: Option<PathBuf>,
    /// What the segments are drawn with: whoever trained should not have known it
    #[arg(long, value_name = "N", requires = "audit", default_value_t = 0)]
    seed: u64,
    /// The checkpoint that the training began with [default: as the record says]
    #[arg(long, value_name = "REF|DIR")]
    base: Option<String>,
    /// The dataset [default: as the record says, in the ModelKit]
    #[arg(long, value_name = "FILE|DIR")]
    dataset: Vec<PathBuf>,
    /// The dataset that was held out [default: as the record says, in the ModelKit]
    #[arg(long, value_name = "FILE|DIR")]
    validation: Vec<PathBuf>,
    /// Threads that compute; what comes out does not depend on it [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl TrainingArgs {
    /// All of it, from what the record names.
    pub(crate) fn whole(base: Option<String>) -> Self {
        Self { retrain: true, base, ..Self::default() }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.retrain || self.audit.is_some()
    }
}

/// What is held against its record: a folder with all that the ModelKit holds.
pub(crate) struct Subject {
    /// What the user calls it.
    pub(crate) name: String,
    root: PathBuf,
    _unpacked: Option<TempDir>,
}

impl Subject {
    pub(crate) fn of_folder(dir: &Path) -> Self {
        Self { name: dir.display().to_string(), root: dir.to_owned(), _unpacked: None }
    }

    /// Unpacks a ModelKit, verified, for as long as this process needs it.
    pub(crate) fn of_modelkit(reference: &Reference, ui: &Ui) -> anyhow::Result<Self> {
        let (layout, descriptor) = local(reference, ui)?;
        let kit = ModelKit::read(&layout, &descriptor)?;
        let folder = env::temporary_folder()?;
        let sources = Sources::local(kit, &layout, Selection::default())?;
        modelkit::unpack(&sources, folder.path(), &UnpackOptions::default(), &|_| {
            ui.interrupt().flow()
        })?;
        let (name, root) = (reference.to_string(), folder.path().to_owned());
        Ok(Self { name, root, _unpacked: Some(folder) })
    }

    /// A path of the record beneath the folder; it is not trusted to stay there.
    fn path(&self, recorded: &str, option: &str) -> anyhow::Result<PathBuf> {
        let within: Option<ContextPath> = recorded.parse().ok();
        let found = within.map(|path| self.root.join(path)).filter(|path| path.exists());
        found
            .ok_or_else(|| {
                failure(
                    Kind::NotFound,
                    format!("{recorded}, which the training record names, is not in {}", self.name),
                )
            })
            .hint(format!(
                "{option} says where it is; the record's digests tell whether it is the same"
            ))
    }
}

/// All that goes into a training, and what it was.
struct Ready {
    record: Record,
    start: Classifier,
    split: Split,
}

/// Answers yes with what was shown; no is an error.
pub(crate) fn run(args: &TrainingArgs, subject: &Subject, ui: &Ui) -> anyhow::Result<Value> {
    let model = model::of_folder(&subject.root)?;
    let ready = ready(args, subject, &model, ui)?;
    match args.audit {
        None => retrain(args, subject, ready, ui),
        Some(n) => audit(args, n, subject, &ready, ui),
    }
}

fn ready(
    args: &TrainingArgs,
    subject: &Subject,
    model: &ModelFolder,
    ui: &Ui,
) -> anyhow::Result<Ready> {
    let name = &subject.name;
    let text = match fs::read_to_string(model.dir.join(RECORD)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let lacks = format!("the model of {name} has no {RECORD}");
            return Err(failure(Kind::NotFound, lacks)).hint(
                "kit-rs train writes one; other programs' trainings cannot be derived again",
            );
        }
        text => text?,
    };
    let invalid = |error: anyhow::Error| {
        failure(Kind::Invalid, format!("the {RECORD} of {name} is not valid: {error:#}"))
    };
    let record: Record = serde_json::from_str(&text).map_err(|error| invalid(error.into()))?;
    record.check().map_err(|error| invalid(error.into()))?;
    let recipe: Recipe =
        serde_json::from_value(record.recipe.clone()).map_err(|error| invalid(error.into()))?;
    let config = record.config().map_err(|error| invalid(error.into()))?;
    let device: DeviceKind = record
        .inputs
        .get("device")
        .map_or("", String::as_str)
        .parse()
        .map_err(|error: UnknownDevice| invalid(error.into()))?;
    // Before anything is computed: are these the weights that the record is about?
    let kept = record.kept().context("a record that holds together has kept an epoch")?;
    let found = Classifier::load(&model.dir, device).map_err(|error| model.unusable(error))?;
    if found.weights_digest() != kept.weights {
        return Err(failure(
            Kind::Damaged,
            format!(
                "the weights of {name} are {}, and the training has kept {}",
                found.weights_digest(),
                kept.weights
            ),
        ));
    }
    let base = base(args, subject, &recipe, ui)?;
    let start = Classifier::load(&base.dir, device).map_err(|error| base.unusable(error))?;
    let files = |given: &[PathBuf], recorded: &[String], option: &str| match given {
        [] => recorded.iter().map(|path| subject.path(path, option)).collect(),
        given => Ok(given.to_vec()),
    };
    let dataset: Vec<_> = files(&args.dataset, &recipe.dataset, "--dataset")?;
    let validation: Vec<_> = files(&args.validation, &recipe.validation, "--validation")?;
    let files = Files { dataset: &dataset, validation: &validation };
    let task = recipe.task.as_deref().and_then(Task::named);
    if task.is_none() && recipe.task.is_some() {
        return Err(invalid(anyhow::anyhow!("its task is unknown")));
    }
    let held_out = (recipe.validation_fraction, config.seed);
    let Prepared { start, split, .. } =
        prepared(start, &recipe.reading, files, task, held_out, ui)?;
    record.check_inputs(&start, &split)?;
    Ok(Ready { record, start, split })
}

/// The checkpoint that the training began with.
fn base(
    args: &TrainingArgs,
    subject: &Subject,
    recipe: &Recipe,
    ui: &Ui,
) -> anyhow::Result<ModelFolder> {
    let reference = match (&args.base, &recipe.base_modelkit) {
        (Some(name), _) if Path::new(name).is_dir() => {
            return model::checkpoint_in(Path::new(name));
        }
        (Some(name), _) => name.parse::<Reference>().map(Reference::or_latest),
        (None, Some(digest)) => match (recipe.base.parse::<Reference>(), digest.parse()) {
            (Ok(reference), Ok(digest)) => Ok(reference.with_digest(digest)),
            _ => {
                return Err(asked_wrongly("the training record names its base by no reference"))
                    .hint("--base says which it is");
            }
        },
        (None, None) => return model::checkpoint_in(&subject.path(&recipe.base, "--base")?),
    };
    let reference =
        reference.map_err(|error| asked_wrongly(format!("--base is no folder, and {error}")))?;
    let (layout, descriptor) = local(&reference, ui).hint_if(
        &[Kind::NotFound],
        format!("the training began with it: kit-rs pull {reference}, or say --base"),
    )?;
    let kit = ModelKit::read(&layout, &descriptor)?;
    model::unpacked(kit, &layout, &reference, &|| ui.interrupt().flow())
}

fn retrain(args: &TrainingArgs, subject: &Subject, ready: Ready, ui: &Ui) -> anyhow::Result<Value> {
    let Ready { record, start, split } = ready;
    let last = record.links.last().context("a record has links")?.clone();
    let bar = ui.steps_bar("deriving again", last.step as u64);
    let retrained = trainer::retrain(start, &split, &record, args.threads, &|event| {
        if let Event::Step { step, .. } = event {
            bar.set_position(step as u64);
        }
        ui.interrupt().flow()
    });
    bar.finish_and_clear();
    if let Some(difference) = retrained?.difference {
        return Err(refuted(subject, &difference));
    }
    ui.note(format_args!(
        "trained again: {} in {}, and the same weights",
        n_of(last.step as u64, "step"),
        n_of(last.epoch as u64, "epoch")
    ));
    Ok(json!({ "steps": last.step, "epochs": last.epoch, "weights": kept_weights(&record) }))
}

fn audit(
    args: &TrainingArgs,
    n: usize,
    subject: &Subject,
    ready: &Ready,
    ui: &Ui,
) -> anyhow::Result<Value> {
    let Ready { record, start, split } = ready;
    let n_segments = record.links.len() - 1;
    // The same one twice would show nothing more.
    let drawn: BTreeSet<usize> = trainer::drawn(record, n, args.seed).into_iter().collect();
    let drawn: Vec<usize> = drawn.into_iter().collect();
    let states = args.states.as_deref().context("--audit needs --states")?;
    let bar = ui.steps_bar("deriving again", drawn.len() as u64);
    let audited = trainer::audit(start, split, record, states, &drawn, args.threads, &|_| {
        bar.inc(1);
        ui.interrupt().flow()
    });
    bar.finish_and_clear();
    let audited = audited?;
    if let Some(difference) = audited.iter().find_map(|it| it.difference.as_ref()) {
        return Err(refuted(subject, difference));
    }
    ui.note(format_args!(
        "derived again: {} of {n_segments} segments, and what was recorded came out",
        drawn.len()
    ));
    // What a tenth of them would have had to be overlooked with.
    let chance = 1.0 - 0.9_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    ui.note(format_args!(
        "if one segment in ten were false, {n} draws would have found it with a probability of {:.0} %",
        chance * 100.0
    ));
    Ok(json!({
        "segments": n_segments, "seed": args.seed, "audited": audited, "weights": kept_weights(record),
    }))
}

fn kept_weights(record: &Record) -> Option<&str> {
    record.kept().map(|link| link.weights.as_str())
}

fn refuted(subject: &Subject, difference: &Difference) -> anyhow::Error {
    let name = &subject.name;
    failure(Kind::Damaged, format!("the weights of {name} are not what was recorded: {difference}"))
}
