//! The files that hold the weights: one, or several and an index.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use memmap2::Mmap;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::map::map;

/// What Git has in place of a large file that was not fetched.
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The paths, in the order of the files' names.
pub(super) fn of(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = dir.join("model.safetensors");
    let path = dir.join("model.safetensors.index.json");
    let pickled = dir.join("pytorch_model.bin");
    match (single.exists(), path.exists()) {
        (false, true) => (),
        (false, false) if pickled.exists() => {
            let problem =
                "only safetensors are read: save the model with transformers 4.35 or newer";
            return Err(unsupported(&pickled, problem));
        }
        _ => return Ok(vec![single]),
    }
    let bytes = fs::read(&path).map_err(|source| unreadable(dir, source))?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Document { path: path.clone(), source })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| name.contains(['/', '\\'])) {
        Some(name) => Err(unsupported(&path, &format!("{name:?} is no name of a file beside it"))),
        None => Ok(names.iter().map(|name| dir.join(name)).collect()),
    }
}

/// Maps one of them.
pub(super) fn open(dir: &Path, path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|source| unreadable(dir, source))?;
    let map = map(&file).map_err(|source| {
        let what = format!("failed to map file `{}`: {source}", path.display());
        unreadable(dir, io::Error::new(source.kind(), what))
    })?;
    if map.starts_with(LFS_POINTER) {
        let problem = "it is a pointer of Git LFS and not the weights: `git lfs pull` fetches them";
        return Err(unsupported(path, problem));
    }
    Ok(map)
}

fn unreadable(dir: &Path, source: io::Error) -> Error {
    Error::Folder { dir: dir.to_owned(), source }
}

fn unsupported(path: &Path, problem: &str) -> Error {
    Error::Unsupported { path: path.to_owned(), problems: vec![problem.to_owned()] }
}
