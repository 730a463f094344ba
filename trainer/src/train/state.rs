//! The state of a training, so that one that was interrupted goes on where it was and ends with the
//! same bytes.
//!
//! A folder holds `state.safetensors` (weights, the optimiser's moments, losses, and in its
//! metadata the rest as JSON) and the weights of the best epoch so far. Each file appears by
//! rename, and the state is the last to do so.

use std::collections::{BTreeMap, HashMap};
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::learner::Learner;
use super::record::inputs;
use super::{Best, Link, Record, Run, TrainConfig};
use crate::classifier::Classifier;
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::report::EpochReport;
use crate::weights;

const STATE: &str = "state.safetensors";
const LOCK: &str = "lock";

/// Where the state of a training is kept, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The folder; made when it is not there, and taken away by whoever has saved the classifier.
    pub dir: PathBuf,
    /// Steps between two states; after each epoch there is one in any case.
    pub every: usize,
    /// Whether to go on with the training whose state is there, if there is any.
    pub resume: bool,
    /// A folder for the state of every link of the [`Record`], which stays: [`audit`](super::audit)
    /// begins with them. It is made when it is not there.
    pub states: Option<PathBuf>,
}

/// What is not tensors.
#[derive(Serialize, Deserialize)]
struct Rest {
    identity: BTreeMap<String, String>,
    epoch: usize,
    steps_in_epoch: usize,
    epoch_seconds: f64,
    seconds: f64,
    epochs: Vec<EpochReport>,
    best: Option<BestRest>,
    links: Vec<Link>,
}

#[derive(Serialize, Deserialize)]
struct BestRest {
    epoch: usize,
    evaluation: Evaluation,
    /// The bits of what it is compared by: decimal digits may not bring them back exactly.
    rank: [u64; 2],
    /// Those of the thresholds.
    thresholds: Option<Vec<u64>>,
}

/// A folder for the state of one certain training.
pub(super) struct StateFolder {
    dir: PathBuf,
    pub(super) every: usize,
    states: Option<PathBuf>,
    identity: BTreeMap<String, String>,
    /// Held as long as the training is under way, so that no other one keeps its state here.
    _lock: fs::File,
}

impl Keep {
    /// Whether there is a state to go on with.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.dir.join(STATE).exists()
    }

    /// Takes the state away, and nobody else's files; the folder goes too if nothing else is in it.
    pub fn remove(&self) -> Result<()> {
        let is_ours = |name: &str| name == LOCK || is_of_a_state(name);
        remove(&self.dir, is_ours)?;
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
                Err(unkept(&self.dir, error))
            }
            _ => Ok(()),
        }
    }
}

impl StateFolder {
    pub(super) fn new(
        keep: &Keep,
        start: &Classifier,
        data: &Split,
        config: &TrainConfig,
    ) -> Result<Self> {
        let dir = keep.dir.clone();
        fs::create_dir_all(&dir).map_err(|error| unkept(&dir, error))?;
        let lock = fs::File::create(dir.join(LOCK)).map_err(|error| unkept(&dir, error))?;
        match lock.file().try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(Error::TrainingUnderWay { path: dir }),
            Err(TryLockError::Error(error)) => return Err(unkept(&dir, error)),
        }
        let folder = Self {
            identity: inputs(start, data, config),
            dir,
            every: keep.every.max(1),
            states: keep.states.clone(),
            _lock: lock,
        };
        if !keep.resume {
            folder.clear()?;
        }
        if let Some(states) = &folder.states {
            fs::create_dir_all(states).map_err(|error| unkept(states, error))?;
        }
        Ok(folder)
    }

    /// Writes where the training is.
    pub(super) fn save(&self, run: &Run) -> Result<()> {
        if let Some(best) = &run.best {
            let path = self.best_path(best.epoch);
            if !path.exists() {
                write(&path, &named("", weights::values(&best.network)), "")?;
            }
        }
        write(&self.dir.join(STATE), &tensors(run), &self.rest(run))?;
        self.forget_worse(run.best.as_ref().map(|best| best.epoch))
    }

    /// Writes the state that a link is about where that was asked for.
    pub(super) fn save_for_good(&self, run: &Run) -> Result<()> {
        match &self.states {
            Some(dir) => write(&kept(dir, run.learner.losses.len()), &tensors(run), ""),
            None => Ok(()),
        }
    }

    /// What is not tensors, as JSON.
    fn rest(&self, run: &Run) -> String {
        let rest = Rest {
            identity: self.identity.clone(),
            epoch: run.epoch,
            steps_in_epoch: run.steps_in_epoch,
            epoch_seconds: run.epoch_seconds,
            seconds: run.seconds,
            epochs: run.epochs.clone(),
            best: run.best.as_ref().map(|best| BestRest {
                epoch: best.epoch,
                evaluation: best.evaluation.clone(),
                rank: best.rank.map(f64::to_bits),
                thresholds: best
                    .thresholds
                    .as_ref()
                    .map(|all| all.iter().map(|threshold| threshold.to_bits()).collect()),
            }),
            links: run.record.links.clone(),
        };
        serde_json::to_string(&rest).expect("the state becomes JSON")
    }

    /// Goes on where the state says; `None` where there is none.
    pub(super) fn restore(&self, fresh: &Run, start: &Classifier) -> Result<Option<Run>> {
        let path = self.dir.join(STATE);
        if !path.exists() {
            // What else is there belongs to no state.
            self.clear()?;
            return Ok(None);
        }
        let (tensors, rest) = read(&path)?;
        let rest: Rest = serde_json::from_str(&rest).map_err(|error| unkept(&path, error))?;
        let differs =
            self.identity.iter().find(|(key, value)| rest.identity.get(*key) != Some(value));
        if let Some((what, _)) = differs {
            let what = match what.as_str() {
                "labels" | "options" => format!("set of {what}"),
                "training examples" | "held-out examples" => "dataset".to_owned(),
                "base weights" => "checkpoint".to_owned(),
                what => what.to_owned(),
            };
            return Err(Error::OtherTraining { path: self.dir.clone(), what });
        }
        let device = start.kind.device();
        let best = rest.best.map(|best| {
            let path = self.best_path(best.epoch);
            let (tensors, _) = read(&path)?;
            let network = weights::with_values(start.network.clone(), tensors, &device)
                .map_err(|name| unkept(&path, format!("{name} is missing or of another size")))?;
            let rank = best.rank.map(f64::from_bits);
            let thresholds =
                best.thresholds.map(|all| all.into_iter().map(f64::from_bits).collect());
            let (epoch, evaluation) = (best.epoch, best.evaluation);
            Ok::<_, Error>(Best { epoch, evaluation, rank, thresholds, network })
        });
        Ok(Some(Run {
            learner: restored(&path, tensors, &fresh.learner, start)?,
            epoch: rest.epoch,
            steps_in_epoch: rest.steps_in_epoch,
            epoch_seconds: rest.epoch_seconds,
            seconds: rest.seconds,
            epochs: rest.epochs,
            best: best.transpose()?,
            record: Record { links: rest.links, ..fresh.record.clone() },
        }))
    }

    fn best_path(&self, epoch: usize) -> PathBuf {
        self.dir.join(best_name(epoch))
    }

    /// Takes the weights of other epochs than the best away.
    fn forget_worse(&self, best: Option<usize>) -> Result<()> {
        let kept = best.map(best_name);
        remove(&self.dir, |name| is_of_a_best(name) && Some(name) != kept.as_deref())
    }

    /// Takes every file of a state away.
    fn clear(&self) -> Result<()> {
        remove(&self.dir, is_of_a_state)
    }
}

fn best_name(epoch: usize) -> String {
    format!("best-{epoch}.safetensors")
}

fn is_of_a_best(name: &str) -> bool {
    name.starts_with("best-") && name.contains(".safetensors")
}

fn is_of_a_state(name: &str) -> bool {
    name.starts_with(STATE) || is_of_a_best(name) || is_half_written(name)
}

/// What `safetensors` writes until it has its name; a process that is killed leaves it.
fn is_half_written(name: &str) -> bool {
    name.starts_with(".tmp")
}

/// Removes those files of a folder whose names are of a kind.
fn remove(dir: &Path, is_old: impl Fn(&str) -> bool) -> Result<()> {
    let removed = fs::read_dir(dir).and_then(|entries| {
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(&is_old) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    });
    removed.map_err(|error| unkept(dir, error))
}

/// The file of a state that is kept for good.
fn kept(dir: &Path, step: usize) -> PathBuf {
    dir.join(format!("state-{step}.safetensors"))
}

/// A learner after a step, of what was kept for good in a folder.
pub(super) fn learner_at(
    dir: &Path,
    step: usize,
    fresh: &Learner,
    start: &Classifier,
) -> Result<Learner> {
    let path = kept(dir, step);
    let (tensors, _) = read(&path)?;
    let learner = restored(&path, tensors, fresh, start)?;
    match learner.losses.len() {
        n_steps if n_steps == step => Ok(learner),
        n_steps => Err(unkept(&path, format!("it is of step {n_steps}"))),
    }
}

/// What a learner is, as tensors.
fn tensors(run: &Run) -> BTreeMap<String, Vec<f32>> {
    let mut tensors = named("weight/", weights::values(&run.learner.network()));
    let (first, second) = run.learner.moments();
    tensors.extend(named("first/", first));
    tensors.extend(named("second/", second));
    tensors.insert("losses".to_owned(), run.learner.losses.clone());
    tensors
}

/// The learner that they are.
fn restored(
    path: &Path,
    mut tensors: BTreeMap<String, Vec<f32>>,
    fresh: &Learner,
    start: &Classifier,
) -> Result<Learner> {
    let losses = tensors.remove("losses").unwrap_or_default();
    let [mut network, mut first, mut second] = [(); 3].map(|()| BTreeMap::new());
    for (name, values) in tensors {
        let part = match name.split_once('/') {
            Some(("weight", _)) => &mut network,
            Some(("first", _)) => &mut first,
            Some(("second", _)) => &mut second,
            _ => return Err(unkept(path, format!("{name} is no part of a state"))),
        };
        part.insert(name[name.find('/').map_or(0, |at| at + 1)..].to_owned(), values);
    }
    let network = weights::with_values(start.network.clone(), network, &start.kind.device())
        .map_err(|name| unkept(path, format!("{name} is missing or of another size")))?;
    Ok(fresh.restored(network, first, second, losses))
}

fn named(prefix: &str, values: BTreeMap<String, Vec<f32>>) -> BTreeMap<String, Vec<f32>> {
    values.into_iter().map(|(name, values)| (format!("{prefix}{name}"), values)).collect()
}

/// Writes a file beside its place, and moves it there when it is whole.
fn write(path: &Path, tensors: &BTreeMap<String, Vec<f32>>, rest: &str) -> Result<()> {
    let bytes: BTreeMap<&String, Vec<u8>> = tensors
        .iter()
        .map(|(name, values)| (name, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::F32, vec![bytes.len() / size_of::<f32>()], bytes);
        (name.as_str(), view.expect("a flat tensor has the size of its bytes"))
    });
    let metadata = HashMap::from([("rest".to_owned(), rest.to_owned())]);
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    safetensors::serialize_to_file(views, Some(metadata), Path::new(&partial))
        .map_err(|error| unkept(path, error))?;
    fs::rename(&partial, path).map_err(|error| unkept(path, error))
}

/// Tensors by name, and the rest.
fn read(path: &Path) -> Result<(BTreeMap<String, Vec<f32>>, String)> {
    let bytes = fs::read(path).map_err(|error| unkept(path, error))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| unkept(path, error))?;
    let rest = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get("rest"))
        .cloned()
        .unwrap_or_default();
    let file = SafeTensors::deserialize(&bytes).map_err(|error| unkept(path, error))?;
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    Ok((file.iter().map(|(name, tensor)| (name.to_owned(), floats(tensor.data()))).collect(), rest))
}

fn unkept(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::State { path: path.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_was_writing_goes_too_and_nothing_of_anybody_elses() {
        let beside = tempfile::tempdir().expect("a place for temporary files");
        let dir = beside.path().join(".kit-rs-state-model");
        let keep = Keep { dir: dir.clone(), every: 1, resume: false, states: None };
        let put = |name: &str| {
            fs::create_dir_all(&dir).expect("a folder");
            fs::write(dir.join(name), "").expect("written");
        };
        for name in [STATE, LOCK, "best-3.safetensors", ".tmpAb1c2D"] {
            put(name);
        }
        keep.remove().expect("removed");
        assert!(!dir.exists());
        put(".tmpAb1c2D");
        put("notes.txt");
        keep.remove().expect("removed");
        let left: Vec<_> = fs::read_dir(&dir).expect("it stays").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0].file_name(), "notes.txt");
    }
}
