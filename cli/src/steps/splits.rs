//! Folders of datasets, whose files say by their names what they are for: `train.csv`,
//! `test-00000-of-00002.parquet`.
//! Source: "Structure your repository" in the documentation of Hugging Face's datasets, which finds
//! the same words between what is no letter.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::failure::asked_wrongly;

/// Names of files that hold datasets end so.
const EXTENSIONS: [&str; 6] = ["json", "jsonl", "ndjson", "csv", "tsv", "parquet"];

/// What a file is for.
#[derive(Clone, Copy)]
pub(crate) enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train", "training"],
            Self::Validation => &["validation", "valid", "val", "dev"],
            Self::Test => &["test", "testing", "eval", "evaluation"],
        }
    }
}

/// The files of a folder that are for something, sorted by name.
pub(crate) fn of_folder(dir: &Path, split: Split) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_dataset = EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let stem = stem.to_ascii_lowercase();
        let mut words = stem.split(|c: char| !c.is_ascii_alphabetic());
        if is_dataset && path.is_file() && words.any(|word| split.words().contains(&word)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Files as they are named, and of a folder those that are for something; there have to be some.
pub(crate) fn files(named: &[PathBuf], split: Split) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let found = of_folder(path, split)?;
        if found.is_empty() {
            return Err(asked_wrongly(format!(
                "{} has no dataset whose name says `{}`: name the files",
                path.display(),
                split.words()[0]
            )));
        }
        files.extend(found);
    }
    Ok(files)
}

/// What a model is told to come from: its name, or those of all its files.
pub(crate) fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_are_found_by_words_of_their_names() {
        let folder = tempfile::tempdir().expect("a place for temporary files");
        for name in [
            "train-00001-of-00002.parquet",
            "train-00000-of-00002.parquet",
            "constraint.csv",
            "my_dev.tsv",
            "test.jsonl",
            "train.md",
        ] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let found = |split| {
            let files = of_folder(folder.path(), split).expect("readable");
            files
                .iter()
                .map(|path| path.file_name().expect("a name").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found(Split::Train),
            ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
        );
        assert_eq!(found(Split::Validation), ["my_dev.tsv"]);
        assert_eq!(found(Split::Test), ["test.jsonl"]);
    }
}
