//! The files that hold the weights: one, or several and an index.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use memmap2::Mmap;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::map::map;

/// What Git has in place of a large file that was not fetched.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// What is said of it.
pub(crate) const IS_LFS_POINTER: &str =
    "it is a pointer of Git LFS and not the file itself: `git lfs pull` fetches it";

/// How files of weights end that are not read; transformers writes safetensors of the first two.
const OTHERS: [&str; 5] = [".bin", ".h5", ".msgpack", ".onnx", ".pt"];

/// The paths, in the order of the files' names.
pub(super) fn of(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = dir.join("model.safetensors");
    let path = dir.join("model.safetensors.index.json");
    if single.exists() {
        return Ok(vec![single]);
    }
    if !path.exists() {
        return match other_weights(dir) {
            Some(other) => {
                let problem =
                    "only safetensors are read: save the model with transformers 4.35 or newer";
                Err(unsupported(&other, problem))
            }
            None => Ok(vec![single]),
        };
    }
    let bytes = fs::read(&path).map_err(|source| unreadable(dir, source))?;
    let index: Value = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Document { path: path.clone(), source })?;
    let files = index.get("weight_map").and_then(Value::as_object);
    let files = files.ok_or_else(|| unsupported(&path, "it has no weight_map"))?;
    let name = |(tensor, file): (&String, &Value)| {
        let problem = || unsupported(&path, &format!("weight_map has {file} for {tensor}"));
        file.as_str().map(str::to_owned).ok_or_else(problem)
    };
    let names = files.iter().map(name).collect::<Result<BTreeSet<String>>>()?;
    match names.iter().find(|name| name.contains(['/', '\\'])) {
        Some(name) => Err(unsupported(&path, &format!("{name:?} is no name of a file beside it"))),
        None => Ok(names.iter().map(|name| dir.join(name)).collect()),
    }
}

/// The first file of the folder that holds weights in another form.
fn other_weights(dir: &Path) -> Option<PathBuf> {
    let entries =
        fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_other = |name: &String| {
        OTHERS.iter().any(|end| name.ends_with(end)) && !name.starts_with("training_args")
    };
    entries.filter(is_other).min().map(|name| dir.join(name))
}

/// Maps one of them.
pub(super) fn open(dir: &Path, path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|source| unreadable(dir, source))?;
    let map = map(&file).map_err(|source| {
        let what = format!("failed to map file `{}`: {source}", path.display());
        unreadable(dir, io::Error::new(source.kind(), what))
    })?;
    if map.starts_with(LFS_POINTER) {
        return Err(unsupported(path, IS_LFS_POINTER));
    }
    Ok(map)
}

fn unreadable(dir: &Path, source: io::Error) -> Error {
    Error::Folder { dir: dir.to_owned(), source }
}

fn unsupported(path: &Path, problem: &str) -> Error {
    Error::Unsupported { path: path.to_owned(), problems: vec![problem.to_owned()] }
}
