//! What the model learns, and what it is asked afterwards.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use serde_json::Value;

use super::sentences::{self, Samples};

/// The checkpoint, the sentences and the settings of one telling.
pub(crate) struct Lesson {
    /// Where the checkpoint comes from.
    pub(crate) origin: Origin,
    /// The first dataset, in the tutorial's form.
    pub(crate) first: String,
    /// The dataset of the update: more.
    pub(crate) more: String,
    /// What the deployed server is asked.
    pub(crate) asked: Samples,
    /// The share of the answers that must be right.
    pub(crate) least_accuracy: f64,
    /// Flags of `kit-rs train`.
    pub(crate) settings: String,
}

/// Where the checkpoint comes from.
pub(crate) enum Origin {
    /// Made on the spot.
    Small,
    /// A folder of this machine.
    Folder(PathBuf),
    /// The hub itself: ORG/NAME.
    Hub(String),
}

/// Training steps that a pretrained checkpoint needs at least to learn the story's sentences, at 16
/// texts a step.
const ENOUGH_STEPS: usize = 100;

impl Lesson {
    /// Reads what the user named; the story's own otherwise.
    pub(crate) fn new(
        model: Option<&str>,
        dataset: Option<&Path>,
        validation: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let origin = match model {
            None => Origin::Small,
            Some(name) => match name.strip_prefix("hf:") {
                Some(repository) => Origin::Hub(repository.to_owned()),
                None => Origin::Folder(
                    fs::canonicalize(name).context("--model names a folder, or hf:ORG/NAME")?,
                ),
            },
        };
        let Sentences { first, more, asked } = match dataset {
            None => Sentences::ours(),
            Some(dataset) => Sentences::of(read(dataset)?, validation.map(read).transpose()?)?,
        };
        // A checkpoint of random weights learns the story's sentences by heart; a pretrained one is
        // only tuned.
        let settings = match origin {
            Origin::Small => "--epochs 8 --batch-size 16 --learning-rate 1e-3 --seed 42".to_owned(),
            _ => {
                let n_epochs = (ENOUGH_STEPS * 16).div_ceil(first.len());
                format!("--epochs {n_epochs} --batch-size 16 --learning-rate 5e-5 --seed 42")
            }
        };
        let least_accuracy = if dataset.is_some() { 0.75 } else { 1.0 };
        let (first, more) = (sentences::document(&first), sentences::document(&more));
        Ok(Self { origin, first, more, asked, least_accuracy, settings })
    }
}

/// What is learnt first, what is learnt for the update, and what the deployed server is asked.
struct Sentences {
    first: Samples,
    more: Samples,
    asked: Samples,
}

impl Sentences {
    /// The story's own.
    fn ours() -> Self {
        let asked = sentences::ASKED.map(|(text, label)| (text.to_owned(), label)).into();
        Self { first: sentences::first(), more: sentences::more(), asked }
    }

    /// The user's; without a validation set, every tenth sentence is held out to be asked.
    fn of(all: Samples, validation: Option<Samples>) -> anyhow::Result<Self> {
        let (more, asked) = match validation {
            Some(validation) => (all, validation),
            None => {
                let (asked, learnt): (Vec<_>, Vec<_>) =
                    all.into_iter().enumerate().partition(|(at, _)| at % 10 == 9);
                let samples = |numbered: Vec<(usize, _)>| {
                    numbered.into_iter().map(|(_, sample)| sample).collect()
                };
                (samples(learnt), samples(asked))
            }
        };
        ensure!(
            !asked.is_empty(),
            "too few sentences to hold some out: name more, or --validation FILE"
        );
        // The update learns from more than the first model did.
        let first = more[..(more.len() * 3).div_ceil(4)].to_vec();
        Ok(Self { first, more, asked })
    }
}

fn read(path: &Path) -> anyhow::Result<Samples> {
    let document: Value = serde_json::from_str(&fs::read_to_string(path)?)
        .with_context(|| path.display().to_string())?;
    let Some(samples) = document["samples"].as_array() else {
        bail!("{} has no `samples`", path.display())
    };
    let sample = |sample: &Value| {
        Some((
            sample["text"].as_str()?.to_owned(),
            usize::try_from(sample["label"].as_u64()?).ok()?,
        ))
    };
    let read: Option<Samples> = samples.iter().map(sample).collect();
    let read =
        read.with_context(|| format!("{}: a sample lacks its text or its label", path.display()))?;
    ensure!(!read.is_empty(), "{} has no samples", path.display());
    Ok(read)
}
