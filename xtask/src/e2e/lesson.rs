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
    pub(crate) settings: &'static str,
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

impl Lesson {
    /// Reads what the user named; the story's own otherwise.
    pub(crate) fn new(model: Option<&str>, data: Option<(&Path, &Path)>) -> anyhow::Result<Self> {
        let origin = match model {
            None => Origin::Small,
            Some(name) => match name.strip_prefix("hf:") {
                Some(repository) => Origin::Hub(repository.to_owned()),
                None => Origin::Folder(fs::canonicalize(name).context("--model names a folder, or hf:ORG/NAME")?),
            },
        };
        let small = matches!(origin, Origin::Small);
        let settings = if small {
            "--epochs 8 --batch-size 16 --learning-rate 1e-3 --seed 42"
        } else {
            "--epochs 1 --batch-size 16 --learning-rate 5e-5 --seed 42"
        };
        let (first, more, asked) = match data {
            None => (
                sentences::first(),
                sentences::more(),
                sentences::ASKED.map(|(text, label)| (text.to_owned(), label)).into(),
            ),
            Some((dataset, validation)) => {
                let all = read(dataset)?;
                // The update learns from more than the first model did.
                let (first, _) = all.split_at(all.len() * 3 / 4);
                (first.to_vec(), all, read(validation)?)
            }
        };
        let least_accuracy = if data.is_some() { 0.75 } else { 1.0 };
        Ok(Self {
            origin,
            first: sentences::document(&first)?,
            more: sentences::document(&more)?,
            asked,
            least_accuracy,
            settings,
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Samples> {
    let document: Value =
        serde_json::from_str(&fs::read_to_string(path)?).with_context(|| path.display().to_string())?;
    let Some(samples) = document["samples"].as_array() else { bail!("{} has no `samples`", path.display()) };
    let sample =
        |sample: &Value| Some((sample["text"].as_str()?.to_owned(), usize::try_from(sample["label"].as_u64()?).ok()?));
    let read: Option<Samples> = samples.iter().map(sample).collect();
    let read = read.with_context(|| format!("{}: a sample lacks its text or its label", path.display()))?;
    ensure!(!read.is_empty(), "{} has no samples", path.display());
    Ok(read)
}
