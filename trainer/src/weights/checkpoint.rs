//! The tensors of a model folder: one safetensors file, or several and an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use fs_err as fs;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{TensorProblem, names};
use crate::error::{Error, Result};
use crate::model_config::Family;

/// Tensors by name, as they are stored.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    tensors: BTreeMap<String, Stored>,
    /// SHA-256 of the files' bytes, one after the other in the order of their names.
    pub(crate) digest: String,
}

/// One tensor as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Reads all tensors of a model folder but masked-LM heads.
    pub(crate) fn read(dir: &Path, family: Family) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        let mut digest = Sha256::new();
        for path in files(dir)? {
            let bytes = fs::read(&path).map_err(|source| unreadable(dir, source))?;
            digest.update(&bytes);
            let unparsed = |source| Error::WeightsFile { path: path.clone(), source };
            let file = SafeTensors::deserialize(&bytes).map_err(unparsed)?;
            for (name, tensor) in file.iter() {
                let stored = Stored {
                    shape: tensor.shape().to_vec(),
                    dtype: tensor.dtype(),
                    bytes: tensor.data().to_vec(),
                };
                let name = names::full(family, name);
                if tensors.insert(name.clone(), stored).is_some() {
                    let problems = vec![TensorProblem::Duplicate(name)];
                    return Err(Error::Tensors { dir: dir.to_owned(), problems });
                }
            }
        }
        tensors.retain(|name, _| !names::is_left_out(name));
        Ok(Self { tensors, digest: crate::report::sha256_text(digest) })
    }

    /// The shape of a tensor that is there.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|stored| &stored.shape[..])
    }

    /// How many tensors there are.
    pub(crate) fn n_tensors(&self) -> usize {
        self.tensors.len()
    }

    /// Takes a tensor out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Stored> {
        self.tensors.remove(name)
    }

    /// The names of the tensors that nobody has taken.
    pub(crate) fn into_names(self) -> impl Iterator<Item = String> {
        self.tensors.into_keys()
    }
}

impl Stored {
    /// The elements as `f32`; the name of their type where they are no floating-point numbers.
    pub(crate) fn into_values(self) -> Result<Vec<f32>, String> {
        let dtype = match self.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            other => return Err(format!("{other:?}")),
        };
        let data = TensorData::from_bytes_vec(self.bytes, self.shape, dtype);
        Ok(data.try_into_vec_as::<f32>().expect("floating-point numbers convert to f32"))
    }
}

/// The files that hold the weights, in the order of their names.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let single = dir.join("model.safetensors");
    let path = dir.join("model.safetensors.index.json");
    if single.exists() || !path.exists() {
        return Ok(vec![single]);
    }
    let bytes = fs::read(&path).map_err(|source| unreadable(dir, source))?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|source| Error::ModelDocument { path: path.clone(), source })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    if let Some(outside) = names.iter().find(|name| name.contains(['/', '\\'])) {
        let problem = format!("{outside:?} is no name of a file beside it");
        return Err(Error::UnsupportedModel { path, problem });
    }
    Ok(names.iter().map(|name| dir.join(name)).collect())
}

fn unreadable(dir: &Path, source: std::io::Error) -> Error {
    Error::ModelFolder { dir: dir.to_owned(), source }
}
