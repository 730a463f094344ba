//! The repository's history, written and read by the user's own `git`: with their name, their
//! signature, their hooks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use gitops::edit::Bump;
use gitops::{Name, Tree};

use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;

/// A working tree of Git.
pub(super) struct History {
    dir: PathBuf,
}

/// Who did what, when.
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) author: String,
    pub(super) date: String,
    pub(super) subject: String,
}

/// What a commit is to say.
pub(super) struct Message {
    subject: String,
    trailers: Vec<(&'static str, String)>,
}

impl Message {
    /// A message that names what an application runs from now on.
    pub(super) fn new(subject: String, bump: &Bump) -> Self {
        let modelkit = match (&bump.modelkit, &bump.modelkit_digest) {
            (Some(name), Some(digest)) => Some(format!("{name}@{digest}")),
            (name, digest) => digest.clone().or_else(|| name.clone()),
        };
        let trailers = modelkit.map(|modelkit| ("ModelKit", modelkit)).into_iter();
        let trailers = trailers.chain([("Image", bump.image.to_string())]).collect();
        Self { subject, trailers }
    }

    /// The same with one more trailer, on one line.
    pub(super) fn with(mut self, key: &'static str, value: &str) -> Self {
        let value: Vec<&str> = value.split_whitespace().collect();
        self.trailers.push((key, value.join(" ")));
        self
    }

    fn text(&self) -> String {
        let lines: String =
            self.trailers.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        format!("{}\n\n{lines}", self.subject)
    }
}

/// How an application in an environment is called.
pub(super) fn title(app: &Name, env: Option<&Name>) -> String {
    env.map_or_else(|| app.to_string(), |env| format!("{app} in {env}"))
}

impl History {
    /// The repository of which a folder is the working tree.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let here = Self { dir: dir.to_owned() };
        let below = here.ask(&["rev-parse", "--show-prefix"])?;
        match below.as_str() {
            "" => Ok(here),
            below => {
                let message = format!("{} is {below} of a Git repository", dir.display());
                Err(failure(Kind::Usage, message)).hint("name the repository's root with --dir")
            }
        }
    }

    /// The branch that is checked out.
    pub(super) fn branch(&self) -> anyhow::Result<String> {
        self.ask(&["symbolic-ref", "--short", "HEAD"])
    }

    /// Refuses files with changes that are in no commit yet: they would become part of the next.
    pub(super) fn require_clean(&self, tree: &Tree) -> anyhow::Result<()> {
        let mut args = vec!["status", "--porcelain", "--"];
        args.extend(tree.paths());
        let said = self.ask(&args)?;
        let Some(line) = said.lines().next() else { return Ok(()) };
        let path = line.get(3..).unwrap_or(line);
        let message = format!("{path} has changes that are in no commit yet");
        Err(failure(Kind::Exists, message)).hint("commit them first, or leave --commit out")
    }

    /// Commits these files, and nothing else that may be staged; returns the commit.
    pub(super) fn commit(&self, tree: &Tree, message: &Message) -> anyhow::Result<String> {
        let text = message.text();
        let mut args = vec!["commit", "--quiet", "--only", "--message", &text, "--"];
        args.extend(tree.paths());
        self.ask(&args).context("cannot commit")?;
        self.ask(&["rev-parse", "HEAD"])
    }

    /// The commits that touched a folder, the newest first.
    pub(super) fn of_folder(&self, folder: &str) -> anyhow::Result<Vec<String>> {
        let said = self.ask(&["log", "--format=%H", "--", folder])?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// The newest commit by which a text came into a folder, or left it.
    pub(super) fn introduced(&self, text: &str, folder: &str) -> anyhow::Result<Option<Commit>> {
        let wanted = format!("-S{text}");
        let format = "--format=%H%x00%an <%ae>%x00%aI%x00%s";
        let said = self.ask(&["log", "-1", &wanted, format, "--", folder])?;
        let parts: Vec<&str> = said.split('\0').collect();
        let [id, author, date, subject] = parts.as_slice() else { return Ok(None) };
        let [id, author, date, subject] = [id, author, date, subject].map(|it| (*it).to_owned());
        Ok(Some(Commit { id, author, date, subject }))
    }

    /// The commit that is checked out.
    pub(super) fn head(&self) -> anyhow::Result<String> {
        self.ask(&["rev-parse", "HEAD"])
    }

    fn ask(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.dir)
            .args(args)
            // Who signs may be asked for a password.
            .stdin(Stdio::inherit())
            .output()
            .context("cannot run git")
            .hint("install git")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(anyhow::anyhow!("git {}: {said}", args[0]));
        }
        let said = String::from_utf8(output.stdout).context("git says what is no text")?;
        Ok(said.trim_end().to_owned())
    }
}
