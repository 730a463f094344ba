//! A Git repository that Flux follows: a bare one behind a server, and its working tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;

use super::GitServer;
use crate::peers::run_quietly;

/// The branch that is followed.
const BRANCH: &str = "main";

/// The repository, served until it is dropped.
pub(crate) struct Repository {
    _server: GitServer,
    /// As Flux knows it.
    pub(crate) url: String,
    /// Where it lies.
    pub(crate) bare: PathBuf,
    /// Its working tree.
    pub(crate) work: PathBuf,
}

impl Repository {
    /// Makes an empty one in a folder.
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let (served, bare, work) = (dir.join("git"), dir.join("git/infra.git"), dir.join("work"));
        fs::create_dir_all(&served)?;
        let server = GitServer::start(&served)?;
        let url = server.url("infra.git");
        run_quietly(
            Command::new("git").args(["init", "--quiet", "--bare", "-b", BRANCH]).arg(&bare),
        )?;
        run_quietly(Command::new("git").args(["clone", "--quiet", &url]).arg(&work))?;
        let repository = Self { _server: server, url, bare, work };
        repository.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{BRANCH}")])?;
        Ok(repository)
    }

    /// Reads a file of the working tree.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.work.join(path))?)
    }

    /// Writes a file of the working tree.
    pub(crate) fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let file = self.work.join(path);
        fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        Ok(fs::write(file, text)?)
    }

    /// Removes a file or a folder of the working tree.
    pub(crate) fn remove(&self, path: &str) -> anyhow::Result<()> {
        let place = self.work.join(path);
        let gone = if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
        Ok(gone?)
    }

    /// Commits all that was written, and pushes; returns the revision as Flux writes it.
    pub(crate) fn push(&self) -> anyhow::Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"])?;
        self.publish()
    }

    /// Reverts the newest commit, and pushes.
    pub(crate) fn revert(&self) -> anyhow::Result<String> {
        self.git(&["revert", "--no-edit", "HEAD"])?;
        self.publish()
    }

    /// Takes what somebody else has pushed; returns the commit that is the newest then.
    pub(crate) fn pull(&self) -> anyhow::Result<String> {
        self.git(&["fetch", "--quiet", "origin"])?;
        self.git(&["reset", "--quiet", "--hard", &format!("origin/{BRANCH}")])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    fn publish(&self) -> anyhow::Result<String> {
        self.git(&["push", "--quiet", "origin", &format!("HEAD:{BRANCH}")])?;
        Ok(format!("{BRANCH}@sha1:{}", self.git(&["rev-parse", "HEAD"])?.trim()))
    }

    /// Git in the working tree.
    pub(crate) fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]);
        git.args(["-c", "commit.gpgsign=false"]).args(args).current_dir(&self.work);
        run_quietly(&mut git)
    }
}
