//! The commits of a repository that name a ModelKit.

use std::process::Command;

use anyhow::Context as _;

use super::Way;
use super::fact::{Fact, Standing};
use crate::failure::failure;
use crate::kind::Kind;

/// Commits that are told at most.
const MAX_COMMITS: &str = "20";

impl Way<'_> {
    /// Those by which a digest came or went, the newest first.
    pub(super) fn deployed(&self, digest: &str) -> anyhow::Result<Vec<Fact>> {
        let Some(repo) = &self.repo else { return Ok(Vec::new()) };
        let output = Command::new("git")
            .arg("-C")
            .arg(repo)
            .args([
                "log",
                "--max-count",
                MAX_COMMITS,
                "--format=%h%x00%G?%x00%GK%x00%s",
                "-S",
                digest,
            ])
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failure(
                Kind::NotFound,
                format!("cannot read the commits of {}: {}", repo.display(), said.trim()),
            ));
        }
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        let commit = |line: &str| {
            let mut fields = line.split('\0');
            let [id, good, key, subject] = [(); 4].map(|()| fields.next().unwrap_or_default());
            let why = match good {
                "G" => (Standing::Signed, format!("the commit is signed with {key}")),
                _ => (Standing::Declared, "in the repository".to_owned()),
            };
            Fact::new("commit", format!("{id} {subject}"), why)
        };
        Ok(log.lines().map(commit).collect())
    }
}
