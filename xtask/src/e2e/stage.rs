//! The stage of the story: where things lie, how a command line is shown and run, and what took how
//! long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use serde_json::Value;

/// The folders, the programs, and the record of the steps.
pub(crate) struct Stage {
    /// `target/e2e`: everything that the story leaves to look at.
    pub(crate) root: PathBuf,
    /// Where the next command lines run.
    pub(crate) cwd: PathBuf,
    kit_rs: PathBuf,
    env: BTreeMap<String, String>,
    steps: Vec<(String, Duration)>,
    began: Instant,
}

impl Stage {
    /// Clears the stage; `kit_rs` is the program whose commands the story types.
    pub(crate) fn set(root: &Path, kit_rs: &Path) -> anyhow::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::create_dir_all(root)?;
        let root = fs::canonicalize(root)?;
        let mut stage = Self {
            cwd: root.clone(),
            kit_rs: fs::canonicalize(kit_rs)?,
            env: BTreeMap::new(),
            steps: Vec::new(),
            began: Instant::now(),
            root,
        };
        let home = stage.root.join("home");
        stage.set_env("KIT_RS_HOME", &home.to_string_lossy());
        Ok(stage)
    }

    /// Sets a variable for the command lines to come.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Goes to a folder, as `cd` does.
    pub(crate) fn cd(&mut self, dir: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(dir)?;
        self.cwd = fs::canonicalize(dir)?;
        say(&format!("$ cd {}", shown(&self.cwd, &self.root)));
        Ok(())
    }

    /// Begins a step of the story.
    pub(crate) fn step(&mut self, title: &str) {
        self.end_step();
        say(&format!("\n== {}. {title}", self.steps.len() + 1));
        self.steps.push((title.to_owned(), Duration::ZERO));
        self.began = Instant::now();
    }

    /// Types a command line that must succeed; returns its stdout without the last line break.
    pub(crate) fn run(&self, line: &str) -> anyhow::Result<String> {
        let output = self.try_run(line)?;
        ensure!(
            output.status.success(),
            "`{line}` failed ({})\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)
            .context("the answer is not UTF-8")?
            .trim_end()
            .to_owned())
    }

    /// Types a `kit-rs` command line that must succeed; returns its answer as JSON.
    pub(crate) fn json(&self, line: &str) -> anyhow::Result<Value> {
        let answer = self.run(&format!("{line} --format json"))?;
        serde_json::from_str(&answer)
            .with_context(|| format!("`{line}` did not answer with JSON: {answer}"))
    }

    /// Types a command line that must fail with exit code 1; returns what it said on stderr.
    pub(crate) fn must_fail(&self, line: &str) -> anyhow::Result<String> {
        let output = self.try_run(line)?;
        ensure!(
            output.status.code() == Some(1),
            "`{line}` should have ended with exit code 1, but: {}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn try_run(&self, line: &str) -> anyhow::Result<Output> {
        say(&format!("$ {line}"));
        let output = self
            .command(line)?
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run `{line}`"))?;
        for text in [&output.stderr, &output.stdout] {
            for line in String::from_utf8_lossy(text).lines().take(12) {
                say(&format!("  {line}"));
            }
        }
        Ok(output)
    }

    /// A command line as a process that is still to be started.
    pub(crate) fn command(&self, line: &str) -> anyhow::Result<Command> {
        let mut words = split(line)?.into_iter();
        let program = words.next().context("an empty command line")?;
        let mut command =
            if program == "kit-rs" { Command::new(&self.kit_rs) } else { Command::new(program) };
        command.args(words).current_dir(&self.cwd).envs(&self.env).env("PATH", self.search_path()?);
        Ok(command)
    }

    /// The search path with `kit-rs` first, so that scripts of the project find it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the story runs programs as its user would, by the user's search path"
    )]
    fn search_path(&self) -> anyhow::Result<std::ffi::OsString> {
        let folder = self.kit_rs.parent().context("a program lies in a folder")?.to_owned();
        let before = std::env::var_os("PATH").unwrap_or_default();
        Ok(std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&before)))?)
    }

    /// Ends the story: the table of steps and times.
    pub(crate) fn table(&mut self) -> String {
        self.end_step();
        let mut lines = vec![String::new(), format!("{:<64} {:>8}", "step", "seconds")];
        for (number, (title, took)) in self.steps.iter().enumerate() {
            lines.push(format!(
                "{:<64} {:>8.1}",
                format!("{}. {title}", number + 1),
                took.as_secs_f64()
            ));
        }
        let total: Duration = self.steps.iter().map(|(_, took)| *took).sum();
        lines.push(format!("{:<64} {:>8.1}", "all", total.as_secs_f64()));
        lines.join("\n")
    }

    /// Does what is not of the story: its time does not count.
    pub(crate) fn aside<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = act();
        self.began += begun.elapsed();
        done
    }

    fn end_step(&mut self) {
        if let Some((_, took)) = self.steps.last_mut() {
            *took = self.began.elapsed();
        }
    }
}

/// Tells the audience.
#[expect(clippy::print_stdout, reason = "telling the story is the task's answer")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

fn shown(path: &Path, root: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(inside) => format!("target/e2e/{}", inside.display()),
        Err(_) => path.display().to_string(),
    }
}

/// Splits a command line at spaces; double and single quotes keep words together.
fn split(line: &str) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        bail!("a quote is not closed in `{line}`");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            split(r#"git commit -m "Add it" ''"#).unwrap(),
            ["git", "commit", "-m", "Add it", ""]
        );
        assert!(split("a 'b").is_err());
    }
}
