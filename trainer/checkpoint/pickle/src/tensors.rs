//! `pytorch_model.bin`: the tensors that `torch.save` wrote, read without executing anything.
//!
//! A pickle is a program that may call whatever Python can import. Here its opcodes are walked by
//! themselves, and only those few names are known that a dictionary of tensors is made of; every
//! other one is refused by its name. Nothing is called, and nothing is larger than the file.
//! Source: `pickletools.py` of Python, `torch/serialization.py` and `torch/_utils.py`.

use std::ops::Range;

use safetensors::tensor::Dtype;

use crate::{machine, state, zip};

/// A tensor in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its elements.
    pub dtype: Dtype,
    /// Its dimensions, in elements.
    pub shape: Vec<usize>,
    /// In the file, in bytes.
    pub range: Range<usize>,
}

/// Reads the table of contents of a whole file, in either of PyTorch's forms: names and places.
///
/// # Errors
/// In words: the name that it would call, the opcode or the tensor that it is about.
pub fn tensors(file: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    match file.starts_with(b"PK\x03\x04") {
        true => of_zip(file),
        false => of_legacy(file),
    }
}

/// Since PyTorch 1.6: a ZIP archive with a pickle and a file for each storage.
fn of_zip(file: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    let entries = zip::entries(file)?;
    let of_pickle = entries.iter().find(|(name, _)| name.ends_with("/data.pkl"));
    let (name, pickle) = of_pickle.ok_or("it has no data.pkl, as PyTorch's archives have")?;
    let root = name.strip_suffix("data.pkl").unwrap_or_default();
    if let Some((_, order)) = entries.iter().find(|(name, _)| *name == format!("{root}byteorder"))
        && &file[order.clone()] != b"little"
    {
        return Err("its numbers have the most significant byte first".to_owned());
    }
    let (found, _) = machine::run(&file[pickle.clone()])?;
    let storage = |key: &str| {
        let name = format!("{root}data/{key}");
        entries.iter().find(|(other, _)| *other == name).map(|(_, range)| range.clone())
    };
    state::tensors(&found, storage)
}

/// Until then: five pickles, and the storages behind them.
fn of_legacy(file: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    if !file.starts_with(MAGIC) {
        return Err("it is no file of torch.save".to_owned());
    }
    let mut at = MAGIC.len();
    let mut next = || {
        let (value, n_read) = machine::run(&file[at..])?;
        at += n_read;
        Ok::<_, String>(value)
    };
    let (_version, _system, found, keys) = (next()?, next()?, next()?, next()?);
    let mut places = Vec::new();
    for key in state::keys(&keys)? {
        // How many elements there are, and then they.
        let (count, data) =
            file[at..].split_first_chunk::<8>().ok_or("its storages end too early")?;
        let n_elements = usize::try_from(i64::from_le_bytes(*count))
            .map_err(|_| "a storage has a negative size")?;
        let size = state::element_size(&found, &key).and_then(|size| n_elements.checked_mul(size));
        let size = size.filter(|size| *size <= data.len()).ok_or("its storages end too early")?;
        places.push((key, at + 8..at + 8 + size));
        at += 8 + size;
    }
    state::tensors(&found, |key| {
        places.iter().find(|(other, _)| **other == *key).map(|(_, range)| range.clone())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;
    use safetensors::SafeTensors;

    use super::*;

    fn testdata(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        fs::read(folder.join(name)).expect("readable")
    }

    #[test]
    fn both_forms_hold_what_the_safetensors_beside_them_do() {
        let bytes = testdata("model.safetensors");
        let expected = SafeTensors::deserialize(&bytes).expect("safetensors");
        for name in ["zip.bin", "legacy.bin", "parameters.bin"] {
            let file = testdata(name);
            let found = tensors(&file).expect("tensors");
            assert_eq!(found.len(), expected.len(), "{name}");
            for (tensor, Stored { dtype, shape, range }) in found {
                let theirs = expected.tensor(&tensor).expect("the same names");
                assert_eq!(
                    (dtype, &shape[..], &file[range]),
                    (theirs.dtype(), theirs.shape(), theirs.data()),
                    "{name} {tensor}"
                );
            }
        }
    }

    #[test]
    fn whatever_would_be_called_is_refused_by_its_name() {
        let check = |name: &str, expected: &str| {
            let problem = tensors(&testdata(name)).expect_err("it is refused");
            assert!(problem.contains(expected), "{name}: {problem}");
        };
        check("system.bin", "posix.system");
        check("legacy-system.bin", "posix.system");
        check("module.bin", "torch.nn.modules.linear.Linear");
        check("stack-global.bin", "builtins.eval");
        check("strided.bin", "is not contiguous");
        check("nested.bin", "epoch is no tensor");
        check("compressed.bin", "is compressed");
    }

    #[test]
    fn what_is_deep_or_endless_ends() {
        // Tuples in tuples, and values without an end.
        let deep = [b"\x80\x02)".to_vec(), vec![0x85; 1 << 20], b".".to_vec()].concat();
        assert!(machine::run(&deep).is_ok());
        let many = [b"\x80\x02".to_vec(), vec![b'N'; 5 << 20], b".".to_vec()].concat();
        let problem = machine::run(&many).expect_err("too many");
        assert!(problem.contains("more than"), "{problem}");
        // A list in itself.
        assert!(machine::run(b"\x80\x02]q\x00h\x00a.").is_ok());
    }

    #[test]
    fn nothing_that_is_cut_off_or_changed_panics() {
        for name in ["zip.bin", "legacy.bin", "parameters.bin"] {
            let file = testdata(name);
            for end in (0..file.len()).step_by(7) {
                let _ = tensors(&file[..end]);
            }
            for at in 0..file.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut changed = file.clone();
                    changed[at] ^= flip;
                    if let Ok(found) = tensors(&changed) {
                        assert!(found.iter().all(|(_, stored)| stored.range.end <= file.len()));
                    }
                }
            }
        }
    }
}
