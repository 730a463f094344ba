//! Pickles become safetensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pickle::Stored;
use safetensors::{Dtype, View};

use crate::error::{Error, Result};
use crate::tensors::{self, TensorProblem};

/// Puts one `model.safetensors` into the place of a folder's `pytorch_model.bin`, or of its shards
/// and their index; tensors keep their names and their bits. Returns the files that were replaced:
/// none where there are none, or where safetensors lie beside them.
///
/// The pickles are read without executing anything, and are taken away when the new file is whole.
/// The same tensors give the same bytes.
pub fn to_safetensors(dir: &Path) -> Result<Vec<PathBuf>> {
    let unwritten = |source| Error::Saved { dir: dir.to_owned(), source };
    let paths = tensors::files(dir)?;
    let is_pickle = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "bin");
    if !paths.iter().all(is_pickle) {
        return Ok(Vec::new());
    }
    let maps = paths.iter().map(|path| tensors::map(dir, path)).collect::<Result<Vec<_>>>()?;
    let mut views = BTreeMap::new();
    for (path, map) in paths.iter().zip(&maps) {
        let stored = pickle::tensors(map).map_err(|problem| Error::Unsupported {
            path: path.clone(),
            problems: vec![problem],
        })?;
        for (name, Stored { dtype, shape, range }) in stored {
            let view = Bytes { dtype, shape, bytes: &map[range] };
            if views.insert(name.clone(), view).is_some() {
                let problems = vec![TensorProblem::Duplicate(name)];
                return Err(Error::Tensors { dir: dir.to_owned(), problems });
            }
        }
    }
    // Under a name that nobody reads, until it is whole.
    let (fresh, whole) = (dir.join(".model.safetensors.part"), dir.join("model.safetensors"));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(metadata), &fresh).map_err(|source| {
        // What there is of it is of no use to anybody.
        let _ = fs::remove_file(&fresh);
        Error::SavedWeights { path: whole.clone(), source }
    })?;
    let like = fs::metadata(&paths[0]).map_err(unwritten)?.permissions();
    fs::set_permissions(&fresh, like).map_err(unwritten)?;
    fs::rename(&fresh, &whole).map_err(unwritten)?;
    let index = Some(dir.join("pytorch_model.bin.index.json")).filter(|index| index.exists());
    let replaced: Vec<PathBuf> = paths.into_iter().chain(index).collect();
    replaced.iter().try_for_each(fs::remove_file).map_err(unwritten)?;
    Ok(replaced)
}

/// A tensor as it lies in its file.
struct Bytes<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: &'a [u8],
}

impl View for Bytes<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.bytes.into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn a_converted_folder_holds_the_same_and_repeats() {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("pickle/testdata");
        let convert = |name: &str| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            fs::copy(from.join(name), folder.path().join("pytorch_model.bin")).expect("copied");
            let replaced = to_safetensors(folder.path()).expect("converted");
            assert_eq!(replaced, [folder.path().join("pytorch_model.bin")]);
            let names = fs::read_dir(folder.path()).expect("readable");
            assert_eq!(names.count(), 1, "nothing else is left");
            assert!(to_safetensors(folder.path()).expect("again").is_empty());
            fs::read(folder.path().join("model.safetensors")).expect("readable")
        };
        let (zip, legacy) = (convert("zip.bin"), convert("legacy.bin"));
        assert_eq!(zip, legacy, "the same tensors are the same bytes");
        let expected = fs::read(from.join("model.safetensors")).expect("readable");
        let (ours, theirs) = (SafeTensors::deserialize(&zip), SafeTensors::deserialize(&expected));
        let (ours, theirs) = (ours.expect("safetensors"), theirs.expect("safetensors"));
        assert_eq!(ours.len(), theirs.len());
        for (name, tensor) in ours.iter() {
            assert_eq!(tensor, theirs.tensor(name).expect("the same names"), "{name}");
        }
    }

    #[test]
    fn a_folder_with_a_pickle_that_calls_something_stays_as_it_is() {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("pickle/testdata/system.bin");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::copy(from, folder.path().join("pytorch_model.bin")).expect("copied");
        let error = to_safetensors(folder.path()).expect_err("it is refused").to_string();
        assert!(error.contains("it would call posix.system"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
    }
}
