//! The files that hold the weights: one, or several and an index.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use memmap2::Mmap;
use pickle::map;
use serde_json::Value;

use crate::error::{Error, Result};

/// What Git has in place of a large file that was not fetched.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// What is said of it.
pub(crate) const IS_LFS_POINTER: &str =
    "it is a pointer of Git LFS and not the file itself: `git lfs pull` fetches it";

/// How files of weights end that are not read, and what to do about them.
const OTHERS: [(&str, &str); 7] = [
    (".onnx", ONNX),
    (".onnx_data", ONNX),
    (
        ".h5",
        "it is TensorFlow's: load it with from_tf=True in transformers 4 and save it with save_pretrained",
    ),
    (
        ".msgpack",
        "it is Flax': load it with from_flax=True in transformers 4 and save it with save_pretrained",
    ),
    (".gguf", "it is a GGUF file, which is not supported: take the checkpoint that it was made of"),
    (".bin", ANOTHER),
    (".pt", ANOTHER),
];

const ONNX: &str = "it is an ONNX graph, which is not supported: take the checkpoint that it was exported from, with model.safetensors or pytorch_model.bin";
const ANOTHER: &str = "only model.safetensors and pytorch_model.bin, and their shards, are read";

/// The names of whole files of weights, the first one counts; and of lists of their shards.
const SINGLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const INDICES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// The paths, in the order of the files' names.
pub(crate) fn of(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut forms =
        SINGLE.into_iter().zip(INDICES).map(|(single, index)| (dir.join(single), dir.join(index)));
    let Some((single, path)) = forms.find(|(single, index)| single.exists() || index.exists())
    else {
        return match other_weights(dir) {
            Some((other, problem)) => Err(unsupported(&other, problem)),
            None => Ok(vec![dir.join(SINGLE[0])]),
        };
    };
    if single.exists() {
        return Ok(vec![single]);
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

/// The first file of the folder that holds weights in another form, and what to do about it.
fn other_weights(dir: &Path) -> Option<(PathBuf, &'static str)> {
    let entries =
        fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let other = |name: String| {
        let known =
            |(end, _): &(&str, &str)| name.ends_with(end) && !name.starts_with("training_args");
        let (_, problem) = OTHERS.into_iter().find(known)?;
        Some((name, problem))
    };
    let (name, problem) = entries.filter_map(other).min()?;
    Some((dir.join(name), problem))
}

/// Maps one of them.
pub(crate) fn open(dir: &Path, path: &Path) -> Result<Mmap> {
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
