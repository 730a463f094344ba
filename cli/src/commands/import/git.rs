//! Brings the files of a Git repository, with the program git.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

use super::folder::Folder;
use super::{Args, Brought, is_wanted};
use crate::env;
use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// What a file in Git LFS begins with where git-lfs did not bring its content.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

pub(super) fn bring(args: &Args, ui: &Ui) -> anyhow::Result<Brought> {
    let revision = args.revision.as_deref().unwrap_or("HEAD");
    if args.repository.starts_with('-') || revision.starts_with('-') {
        return Err(asked_wrongly("an address or a revision does not begin with `-`"));
    }
    let folder = Folder::temporary()?;
    let git = |arguments: &[&str]| run(folder.path(), args.token.clone().or_else(env::hf_token), arguments);
    git(&["init", "--quiet"])?;
    git(&["fetch", "--quiet", "--depth", "1", "--", &args.repository, revision])
        .with_context(|| format!("cannot fetch {revision} of {}", args.repository))?;
    ensure!(ui.interrupt().flow().is_continue(), "interrupted");
    git(&["-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD"])?;
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    fs::remove_dir_all(folder.path().join(".git"))?;
    keep_wanted(folder.path(), folder.path(), args)?;
    Ok(Brought { folder, name: name(&args.repository), commit, large: None })
}

/// Runs git and returns what it printed. The token goes through the environment, where no list of processes shows it.
fn run(dir: &Path, token: Option<String>, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.current_dir(dir).args(arguments).stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0");
    if let Some(token) = token {
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "http.extraHeader");
        command.env("GIT_CONFIG_VALUE_0", format!("Authorization: Bearer {token}"));
    }
    let output = command.output().context("cannot run git; is it installed?")?;
    if !output.status.success() {
        bail!("git {} failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Takes away what is not wanted, and refuses what is only a pointer to its content.
fn keep_wanted(root: &Path, dir: &Path, args: &Args) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            keep_wanted(root, &path, args)?;
            continue;
        }
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        // A link may lead anywhere.
        if !kind.is_file() || !is_wanted(&name, args) {
            fs::remove_file(&path)?;
            continue;
        }
        let is_small = entry.metadata()?.len() < 1024;
        ensure!(
            !(is_small && fs::read(&path)?.starts_with(POINTER)),
            "{name} lies in Git LFS and came without its content: install git-lfs, and run `git lfs install`"
        );
    }
    Ok(())
}

/// The last two parts of the address.
fn name(repository: &str) -> String {
    let path = repository.trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.rsplit(['/', ':']).filter(|part| !part.is_empty());
    let (last, before) = (parts.next().unwrap_or_default(), parts.next());
    let word =
        |part: &&str| part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !part.contains("..");
    match before.filter(word) {
        Some(before) => format!("{before}/{last}"),
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_two_parts() {
        assert_eq!(name("https://github.com/org/name.git"), "org/name");
        assert_eq!(name("git@host.test:org/name"), "org/name");
        assert_eq!(name("file:///srv/git/name.git/"), "git/name");
    }
}
