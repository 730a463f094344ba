//! A `kit-rs … serve` that runs beside the story, and ends with it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use fs_err as fs;

use super::stage::{Stage, say};

/// A server process.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, as it said itself.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server by its command line; its first line on stdout is its URL, its talk goes to
    /// `<name>.log`.
    pub(crate) fn start(stage: &Stage, name: &str, line: &str) -> anyhow::Result<Self> {
        say(&format!("$ {line} &"));
        let log = fs::File::create(stage.root.join(format!("{name}.log")))?;
        let mut command = stage.command(line)?;
        crate::process::end_with_us(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.into_parts().0)
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        let url = url.trim().to_owned();
        if url.is_empty() {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "`{line}` did not start; see {name}.log:\n{}",
                fs::read_to_string(stage.root.join(format!("{name}.log")))?
            );
        }
        say(&format!("  {url}"));
        Ok(Self { child, url })
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        crate::process::end(&mut self.child, Duration::from_secs(5));
    }
}
