//! The corpus of our own: small trees, one for each field, option and error of a kustomization.
//!
//! A file holds the cases of one feature:
//!
//! ```text
//! == the name of a case
//! -- kustomization.yaml --
//! resources: [a.yaml]
//! -- expected --
//! ```
//!
//! The folder that is built is `overlay` where there is one, else the root. Files of `common.txt`
//! are there for every case that names them. What stands under `expected` is what kustomize printed,
//! or under `refused` its error; `--write` writes both anew, and the tests of `gitops` read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::sides::{Answer, Files};

const EXPECTED: &str = "expected";
const REFUSED: &str = "refused";

/// One case.
pub(super) struct Case {
    /// `feature/case`.
    pub(super) name: String,
    pub(super) feature: String,
    pub(super) files: Files,
    /// What was written down as kustomize's answer.
    pub(super) told: Files,
}

impl Case {
    /// The folder that is built.
    pub(super) fn path(&self) -> &'static str {
        match self.files.keys().any(|path| path.starts_with("overlay/")) {
            true => "overlay",
            false => ".",
        }
    }

    /// Whether the answer that is written down is still kustomize's.
    pub(super) fn is_told(&self, theirs: &Answer) -> bool {
        match &theirs.documents {
            Some(_) => self.told.get(EXPECTED) == Some(&theirs.yaml),
            None => self.told.contains_key(REFUSED),
        }
    }
}

/// The files of the corpus.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.retain(|path| {
        path.extension().is_some_and(|it| it == "txt") && !path.ends_with("common.txt")
    });
    paths.sort();
    ensure!(!paths.is_empty(), "{} has no cases", folder.display());
    Ok(paths)
}

/// Reads the cases of one file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    let feature = path.file_stem().and_then(|it| it.to_str()).context("a file has a name")?;
    let common = parse(&fs::read_to_string(path.with_file_name("common.txt"))?);
    let common = common.into_iter().next().map(|(_, files)| files).unwrap_or_default();
    let cases = parse(&fs::read_to_string(path)?);
    ensure!(!cases.is_empty(), "{} has no cases", path.display());
    Ok(cases
        .into_iter()
        .map(|(name, mut files)| {
            let told = [EXPECTED, REFUSED]
                .into_iter()
                .filter_map(|part| files.remove_entry(part))
                .collect();
            add_common(&mut files, &common);
            Case { name: format!("{feature}/{name}"), feature: feature.to_owned(), files, told }
        })
        .collect())
}

/// Adds the common files that a text of the case names, at the root.
fn add_common(files: &mut Files, common: &Files) {
    for (path, text) in common {
        if !files.contains_key(path) && files.values().any(|it| it.contains(path.as_str())) {
            files.insert(path.clone(), text.clone());
        }
    }
}

fn parse(text: &str) -> Vec<(String, Files)> {
    let mut cases: Vec<(String, Files)> = Vec::new();
    let mut file = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push((name.trim().to_owned(), BTreeMap::new()));
            file.clear();
        } else if let Some(name) = line.strip_prefix("-- ").and_then(|it| it.strip_suffix(" --\n"))
        {
            file = name.to_owned();
            if let Some((_, files)) = cases.last_mut() {
                files.insert(file.clone(), String::new());
            }
        } else if let Some(text) = cases.last_mut().and_then(|(_, files)| files.get_mut(&file)) {
            text.push_str(line);
        }
    }
    cases
}

/// Writes kustomize's answers into a file of the corpus; nothing else of it changes.
pub(super) fn write(path: &Path, answers: &[&Answer]) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let mut written = String::new();
    let (mut answers, mut open, mut is_told) = (answers.iter(), None, false);
    let tell = |written: &mut String, answer: Option<&&Answer>| {
        if let Some(answer) = answer {
            *written += &match &answer.documents {
                Some(_) => format!("-- {EXPECTED} --\n{}", answer.yaml),
                None => format!("-- {REFUSED} --\n"),
            };
        }
    };
    for line in text.split_inclusive('\n') {
        if line.starts_with("== ") {
            tell(&mut written, open);
            (open, is_told) = (answers.next(), false);
        } else if line.starts_with("-- ") {
            is_told = [EXPECTED, REFUSED].iter().any(|it| line == format!("-- {it} --\n"));
        }
        if !is_told {
            written += line;
        }
    }
    tell(&mut written, open);
    if written != text {
        fs::write(path, written)?;
    }
    Ok(())
}
