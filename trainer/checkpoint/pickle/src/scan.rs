//! What loading a file with Python would do beyond making values.
//!
//! It fails closed: a pickle that cannot be followed to its end is told as one that may call
//! anything.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use fs_err::File;

use crate::harmless::is_harmless;
use crate::map::map;
use crate::{machine, zip};

/// What is told of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Names that Python would import and may call, sorted; values alone need none of them.
    Calls(Vec<String>),
    /// It is, or may be, a pickle that cannot be followed: why not.
    Opaque(String),
}

/// How deep archives lie in archives that are still looked into.
const MAX_DEPTH: usize = 3;
/// Pickles that lie behind each other in one file: PyTorch's old form has five.
const MAX_PICKLES: usize = 64;
/// Endings of files that Python's loaders of pickles are given.
const ENDINGS: [&str; 11] =
    ["bin", "ckpt", "dill", "joblib", "mar", "pickle", "pkl", "pt", "pth", "pth.tar", "torch"];
/// How compressed files begin, and what they are.
const COMPRESSED: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x78", "zlib"),
];

/// Whether the name alone says that Python may load it as a pickle.
#[must_use]
pub fn is_suspect(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|name| name.ends_with('.')))
}

/// [`scan`] of a file on disk, of which only what is needed is read.
pub fn scan_file(path: &Path) -> io::Result<Option<Finding>> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(scan(&name, &map(&file)?))
}

/// Looks at a file: a pickle of any protocol, PyTorch's archives and what was before them, joblib's
/// files, NumPy's arrays of objects, and archives in archives. `None`: it is none of these, or makes
/// values and nothing else.
#[must_use]
pub fn scan(name: &str, file: &[u8]) -> Option<Finding> {
    let mut found = Found::default();
    found.look(name, file, 0);
    if !found.names.is_empty() {
        return Some(Finding::Calls(found.names.into_iter().collect()));
    }
    found.opaque.map(Finding::Opaque)
}

#[derive(Default)]
struct Found {
    names: BTreeSet<String>,
    opaque: Option<String>,
}

impl Found {
    fn look(&mut self, name: &str, file: &[u8], depth: usize) {
        let is_suspect = is_suspect(name);
        if file.starts_with(b"PK\x03\x04") {
            self.archive(name, file, depth);
        } else if let Some(array) = objects(file) {
            self.pickles(array, true);
        } else if let [0x80, 0..=5, ..] = file {
            self.pickles(file, is_suspect);
        } else if is_suspect {
            let compressed = COMPRESSED.iter().find(|(magic, _)| file.starts_with(magic));
            match compressed {
                Some((_, how)) => self.hidden(format!("it is compressed ({how})")),
                // Protocols 0 and 1 begin with whatever they hold; weights in other forms do, too.
                None if is_of_protocol_0(file) => self.pickles(file, false),
                None => (),
            }
        }
    }

    fn archive(&mut self, name: &str, file: &[u8], depth: usize) {
        if depth == MAX_DEPTH {
            return self.hidden("its archives lie too deep in each other".to_owned());
        }
        let entries = match zip::directory_of(file) {
            Ok(entries) => entries,
            Err(problem) if is_suspect(name) => return self.hidden(problem),
            Err(_) => return,
        };
        for entry in entries {
            let is_pickle = is_suspect(&entry.name);
            match entry.bytes(file) {
                // PyTorch's storages, and nothing that has a name of a pickle.
                Ok(bytes) => self.look(&entry.name, bytes, depth + 1),
                Err(problem) if is_pickle => self.hidden(problem),
                Err(_) => (),
            }
        }
    }

    /// All pickles that lie behind each other at the beginning of a file.
    fn pickles(&mut self, file: &[u8], is_certain: bool) {
        let mut at = 0;
        for n in 0..MAX_PICKLES {
            let (names, ended) = machine::follow(&file[at..]);
            let calls: Vec<String> = names.into_iter().filter(|name| !is_harmless(name)).collect();
            // Of what only begins like a pickle nothing is told that could be noise.
            let is_pickle = ended.is_ok() || is_certain || n > 0;
            if is_pickle || calls.iter().all(|name| is_name(name)) {
                self.names.extend(calls);
            }
            match ended {
                Ok(n_read) => at += n_read,
                Err(problem) if n == 0 && is_certain => return self.hidden(problem),
                Err(_) => return,
            }
            if !matches!(file[at..], [0x80, 0..=5, ..]) {
                return;
            }
        }
        self.hidden(format!("more than {MAX_PICKLES} pickles lie behind each other"));
    }

    fn hidden(&mut self, why: String) {
        self.opaque.get_or_insert(why);
    }
}

/// What `numpy.save` has pickled: the elements of an array of objects.
/// Source: `numpy/lib/format.py`.
fn objects(file: &[u8]) -> Option<&[u8]> {
    let rest = file.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_at_checked(2)?;
    let n_bytes = if version[0] == 1 { 2 } else { 4 };
    let (size, rest) = rest.split_at_checked(n_bytes)?;
    let size = size.iter().rev().fold(0_usize, |size, byte| size << 8 | usize::from(*byte));
    let (header, data) = rest.split_at_checked(size)?;
    let header = String::from_utf8_lossy(header);
    header.contains("|O").then_some(data)
}

/// Whether a file begins as one of protocol 0 or 1 does: with a name to look up, or a mark, a
/// container or a text.
fn is_of_protocol_0(file: &[u8]) -> bool {
    matches!(
        file.first(),
        Some(b'c' | b'(' | b']' | b'}' | b')' | b'I' | b'S' | b'V' | b'X' | b'U')
    )
}

/// Whether it could be a name in Python: of noise hardly any is.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.split('.').all(|part| {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            !part.is_empty() && part.chars().all(is_word)
        })
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    fn calls(names: &[&str]) -> Option<Finding> {
        Some(Finding::Calls(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    fn of(name: &str) -> Option<Finding> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        scan_file(&folder.join(name)).expect("readable")
    }

    #[test]
    fn weights_alone_are_harmless_in_both_forms() {
        for name in ["zip.bin", "legacy.bin", "parameters.bin", "strided.bin", "nested.bin"] {
            assert_eq!(of(name), None, "{name}");
        }
        assert_eq!(of("model.safetensors"), None);
    }

    #[test]
    fn what_python_would_call_is_named() {
        for name in ["system.bin", "legacy-system.bin"] {
            assert_eq!(of(name), calls(&["posix.system"]), "{name}");
        }
        assert_eq!(of("stack-global.bin"), calls(&["builtins.eval"]));
        let Some(Finding::Calls(names)) = of("module.bin") else { panic!("it calls") };
        assert!(names.contains(&"torch.nn.modules.linear.Linear".to_owned()), "{names:?}");
        assert_eq!(of("shapes/instance.pkl"), calls(&["posix.system"]));
        assert_eq!(of("shapes/protocol0.pkl"), calls(&["posix.system"]));
        assert_eq!(of("shapes/second.pkl"), calls(&["posix.system"]));
        assert_eq!(of("shapes/objects.npy"), calls(&["posix.system"]));
        assert_eq!(of("shapes/objects.npz"), calls(&["posix.system"]));
        assert_eq!(of("shapes/in-archives.zip"), calls(&["posix.system"]));
        assert_eq!(of("shapes/partial.joblib"), calls(&["builtins.print", "functools.partial"]));
        assert_eq!(of("shapes/reduce-ex.pkl"), calls(&["builtins.exec"]));
    }

    #[test]
    fn values_are_harmless_in_every_protocol() {
        for protocol in 0..=5 {
            assert_eq!(of(&format!("shapes/values-{protocol}.pkl")), None, "{protocol}");
        }
        assert_eq!(of("shapes/array.pkl"), None);
        assert_eq!(of("shapes/numbers.npy"), None);
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        let hidden = |name: &str, file: &[u8], why: &str| match scan(name, file) {
            Some(Finding::Opaque(found)) => assert!(found.contains(why), "{name}: {found}"),
            found => panic!("{name}: {found:?}"),
        };
        hidden("m.joblib", b"\x78\x9cabc", "zlib");
        hidden("m.pkl", b"\x1f\x8b\x08", "gzip");
        hidden("m.pkl", b"\x80\x04\x95", "ends too early");
        hidden("m.pt", b"PK\x03\x04nothing more", "damaged");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        let compressed = fs::read(folder.join("compressed.bin")).expect("readable");
        hidden("m.pt", &compressed, "is compressed");
    }

    #[test]
    fn other_files_are_left_alone() {
        for (name, file) in [
            ("weights.onnx", &b"\x08\x07\x12\x07pytorch"[..]),
            ("noise.dat", b"\x80\x02\xff\xff\xff\xff"),
            ("a.docx", b"PK\x03\x04"),
            ("model.bin", b"\x00\x00\x00\x01\x00\x00"),
            ("ggml.bin", b"lmgg\x01\x00"),
            ("text.txt", b"cposix\nsystem\n"),
            ("empty.pkl", b""),
        ] {
            assert_eq!(scan(name, file), None, "{name}");
        }
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics_or_hides_a_call() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        let whole = fs::read(folder.join("shapes/instance.pkl")).expect("readable");
        for at in 0..whole.len() {
            let _ = scan("m.pkl", &whole[..at]);
            let mut flipped = whole.clone();
            flipped[at] ^= 0x55;
            let _ = scan("m.pkl", &flipped);
        }
        // What stands behind the end of a pickle hides nothing of it.
        let longer = [&whole[..], b"\xff\xff\xff"].concat();
        assert_eq!(scan("m.pkl", &longer), calls(&["posix.system"]));
        // Nor does what breaks after the call.
        let broken = [&whole[..whole.len() - 1], b"\xfe"].concat();
        assert_eq!(scan("m.pkl", &broken), calls(&["posix.system"]));
    }
}
