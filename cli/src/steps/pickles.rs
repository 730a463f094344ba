//! Files that have Python call something when it loads them: told, or refused as the policy says.

use std::path::Path;

use anyhow::Context as _;
use pickle::{Finding, scan_file};
use trust::Mode;

use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::output::{n_of, some_of};
use crate::shown;
use crate::ui::Ui;

/// What to do about them.
const INSTEAD: &str = "of PyTorch's weights `kit-rs import --to-safetensors` makes safetensors, of scikit-learn's models skops makes files that call nothing";

/// Endings of files that no loader of pickles is given, and that there are many of.
const OTHERS: [&str; 36] = [
    "arrow",
    "c",
    "cfg",
    "cpp",
    "css",
    "csv",
    "gguf",
    "gif",
    "go",
    "h",
    "html",
    "ini",
    "ipynb",
    "jpeg",
    "jpg",
    "js",
    "json",
    "jsonl",
    "lock",
    "md",
    "onnx",
    "parquet",
    "pdf",
    "png",
    "py",
    "rs",
    "rst",
    "safetensors",
    "sh",
    "svg",
    "toml",
    "tsv",
    "txt",
    "xml",
    "yaml",
    "yml",
];

/// Those of some files of a folder, each in a sentence. A file that is gone is passed over.
pub(crate) fn found(
    root: &Path,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        if ending.is_some_and(|ending| OTHERS.contains(&ending.as_str())) {
            continue;
        }
        let file = root.join(path);
        if !file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let looked = scan_file(&file).with_context(|| format!("cannot look at {path}"))?;
        if let Some(finding) = looked {
            found.push(sentence(path, &finding));
        }
    }
    Ok(found)
}

/// The same of all files beneath a folder.
pub(crate) fn found_beneath(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => {
                    let path = entry.path();
                    let path = path.strip_prefix(root).unwrap_or(&path);
                    paths.push(path.to_string_lossy().into_owned());
                }
                _ => (),
            }
        }
    }
    paths.sort();
    found(root, paths)
}

/// Warns of them, or refuses them; `Err` is the reason.
pub(crate) fn judge(found: &[String], mode: Mode, ui: &Ui) -> Result<(), String> {
    if found.is_empty() || mode == Mode::Off {
        return Ok(());
    }
    if mode == Mode::Enforce {
        let n = n_of(found.len() as u64, "file");
        return Err(format!("the policy refuses {n}: {}; {INSTEAD}", found.join("; ")));
    }
    for sentence in found {
        ui.warn(sentence);
    }
    ui.note(INSTEAD);
    Ok(())
}

/// [`judge`] for what has no other error.
pub(crate) fn require(found: &[String], mode: Mode, ui: &Ui) -> anyhow::Result<()> {
    judge(found, mode, ui)
        .map_err(|reason| failure(Kind::Untrusted, reason))
        .hint("`pickles: warn` in trust.yaml only tells of them")?;
    ui.no_warnings()
}

fn sentence(path: &str, finding: &Finding) -> String {
    let path = shown::line(path);
    match finding {
        Finding::Calls(names) => {
            let names = some_of(names.iter().map(String::as_str));
            format!("{path} has Python call {} when it is loaded", shown::line(&names))
        }
        Finding::Opaque(why) => {
            format!("{path} may have Python call anything when it is loaded: {}", shown::line(why))
        }
    }
}
