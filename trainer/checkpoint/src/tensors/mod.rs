//! The tensors of a folder, mapped and strict: one that is missing, unknown or misshapen is a
//! problem that names it.

mod files;
mod problem;
mod tensor;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub(crate) use files::{IS_LFS_POINTER, LFS_POINTER, of as files, open as map};
use memmap2::Mmap;
use pickle::{Stored, give_back};
pub use problem::TensorProblem;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorInfo};
pub use tensor::Tensor;

use crate::architecture::Architecture;
use crate::error::{Error, Result};
use crate::names::{self, Head};
use crate::network::{Network, Positions};

/// All tensors of a checkpoint. They are asked for by DistilBERT's names, and stay in their files
/// until they are read.
#[derive(Debug)]
pub struct Tensors {
    architecture: &'static Architecture,
    files: Vec<Arc<Mmap>>,
    /// By the architecture's own full names.
    places: BTreeMap<String, Place>,
}

/// Where a tensor is.
#[derive(Debug, Clone)]
struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// In the file, in bytes.
    range: Range<usize>,
}

impl Tensors {
    /// Reads the tables of contents of a folder's files; masked-LM heads are left out.
    pub(crate) fn open(dir: &Path, architecture: &'static Architecture) -> Result<Self> {
        let mut tensors = Self { architecture, files: Vec::new(), places: BTreeMap::new() };
        for path in files::of(dir)? {
            let map = files::open(dir, &path)?;
            for (name, mut place) in contents(&path, &map)? {
                place.file = tensors.files.len();
                let name = architecture.full_name(&name);
                if tensors.places.insert(name.clone(), place).is_some() {
                    let problems = vec![TensorProblem::Duplicate(name)];
                    return Err(Error::Tensors { dir: dir.to_owned(), problems });
                }
            }
            tensors.files.push(Arc::new(map));
        }
        tensors.places.retain(|name, _| !architecture.is_left_out(name));
        Ok(tensors)
    }

    /// Every tensor that a network needs and that is not there, or not so; and every other one.
    pub(crate) fn problems(&self, network: &Network, head: Head) -> Vec<TensorProblem> {
        let expected = names::expected(self.architecture, network, head);
        let of_one = |(name, shape): (&String, &Vec<usize>)| match self.places.get(name) {
            None => Some(TensorProblem::Missing(name.clone())),
            Some(place) => place.problem(name, shape),
        };
        let mut problems: Vec<TensorProblem> = expected.iter().filter_map(of_one).collect();
        // DeBERTa's checkpoints have a table of positions even where their networks have none.
        let table = "distilbert.embeddings.position_embeddings.weight";
        let table = self.architecture.tensor_name(table);
        let is_left_over = |name: &String| network.positions == Positions::None && *name == table;
        let unknown = self.places.keys().filter(|name| !expected.contains_key(*name));
        let unknown = unknown.filter(|name| !is_left_over(name));
        problems.extend(unknown.cloned().map(TensorProblem::Unused));
        problems
    }

    /// A tensor by DistilBERT's name of it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Tensor> {
        let place = self.places.get(&self.architecture.tensor_name(name))?.clone();
        Some(Tensor::new(Arc::clone(&self.files[place.file]), place))
    }

    /// How many tensors there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The bytes of the files, in the order of their names.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().map(|map| &map[..])
    }

    /// Gives back the pages of the files that were read, so that they no longer count as this
    /// process' memory; they are read again when asked for.
    pub fn give_pages_back(&self) {
        self.files.iter().for_each(|map| give_back(map));
    }
}

/// The table of contents of a file; that of a pickle is read without executing it.
fn contents(path: &Path, map: &Mmap) -> Result<Vec<(String, Place)>> {
    if path.extension().is_some_and(|extension| extension == "bin") {
        let stored = pickle::tensors(map).map_err(|problem| Error::Unsupported {
            path: path.to_owned(),
            problems: vec![problem],
        })?;
        let place = |Stored { dtype, shape, range }| Place { file: 0, dtype, shape, range };
        return Ok(stored.into_iter().map(|(name, stored)| (name, place(stored))).collect());
    }
    let (header_size, header) = SafeTensors::read_metadata(map)
        .map_err(|source| Error::WeightsFile { path: path.to_owned(), source })?;
    let place = |info: &TensorInfo| {
        let (start, end) = info.data_offsets;
        let range = 8 + header_size + start..8 + header_size + end;
        Place { file: 0, dtype: info.dtype, shape: info.shape.clone(), range }
    };
    Ok(header.tensors().into_iter().map(|(name, info)| (name, place(info))).collect())
}

impl Place {
    fn problem(&self, name: &str, expected: &[usize]) -> Option<TensorProblem> {
        let name = name.to_owned();
        if self.shape != expected {
            let (expected, found) = (expected.to_vec(), self.shape.clone());
            return Some(TensorProblem::Shape { name, expected, found });
        }
        let is_read = matches!(self.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64);
        (!is_read).then(|| TensorProblem::ElementType { name, found: format!("{:?}", self.dtype) })
    }
}
